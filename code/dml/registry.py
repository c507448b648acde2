"""Look-up by name: an unknown name is an error that lists the valid ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar, Generic, TypeVar

from dml.errors import UserError

T = TypeVar("T")


class UnknownNameError(UserError):
    """A name that a registry does not hold."""


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from names, and aliases of names, to entries.

    Args:
        kind: what the entries are, in the singular, for messages ("loss", "dataset").
        entries: name → entry.
        aliases: other spelling → name; published spellings live here.

    Raises:
        UnknownNameError: on look-up of a name that is neither; the message lists the valid names.
        ValueError: at construction, if an alias hides an entry or points nowhere.
    """

    def __init__(self, kind: str, entries: Mapping[str, T], aliases: Mapping[str, str] | None = None):
        self.kind = kind
        self._entries = dict(entries)
        self.aliases = dict(aliases or {})
        for alias, name in self.aliases.items():
            if alias in self._entries or name not in self._entries:
                raise ValueError(f"{kind} alias {alias!r} -> {name!r} hides an entry or points nowhere")

    @classmethod
    def collected(cls, kind: str, package: str, modules: Iterable[str]) -> Registry[Any]:
        """The registry of what modules describe at their end (``dml.options.Spec``): the ``SPEC`` of each, or its
        ``SPECS`` where it has several.

        Args:
            kind: see the class.
            package: where the modules are.
            modules: their names in it, in the order of the registry.

        Raises:
            ValueError: a name or spelling that two of them have.
        """
        described = [import_module(f"{package}.{module}") for module in modules]
        specs = [spec for module in described for spec in getattr(module, "SPECS", None) or (module.SPEC,)]
        names = [name for spec in specs for name in (spec.name, *spec.spellings)]
        if len(set(names)) < len(names):
            raise ValueError(f"two of {package} have one name: {', '.join(sorted(names))}")
        aliases = {spelling: spec.name for spec in specs for spelling in spec.spellings}
        return cls(kind, {spec.name: spec for spec in specs}, aliases)

    def canonical(self, name: str) -> str:
        """The entry's own name for ``name``, which may be an alias."""
        name_or_target = self.aliases.get(name, name)
        if name_or_target not in self._entries:
            valid = [*self._entries, *self.aliases]
            close = difflib.get_close_matches(name, valid, n=1, cutoff=0.6)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(f"unknown {self.kind} {name!r}.{hint} Valid: {', '.join(valid)}")
        return name_or_target

    def spelling(self, name: str) -> str:
        """How people know the entry ``name``: by its first alias, or by its own name."""
        return next((alias for alias, target in self.aliases.items() if target == name), name)

    def __getitem__(self, name: str) -> T:
        return self._entries[self.canonical(name)]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self.aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class OpenRegistry(Registry[T], Generic[T]):
    """A registry that also reaches what another package has, as ``prefix`` and a name there; it lists its own alone.

    Attributes:
        prefix: such as "pml/".
        origin: the package, for messages.
    """

    prefix: ClassVar[str]
    origin: ClassVar[str]

    def member(self, name: str) -> T:
        """The other package's entry ``name``, prefix included. UserError if there is none, or no such package."""
        raise NotImplementedError

    def canonical(self, name: str) -> str:
        """As of every registry; a name of the other package is its own."""
        if name.startswith(self.prefix):
            self.member(name)
            return name
        try:
            return super().canonical(name)
        except UnknownNameError as error:
            raise UnknownNameError(f"{error}, and {self.prefix}CLASS for every {self.kind} of {self.origin}") from None

    def __getitem__(self, name: str) -> T:
        return self.member(name) if name.startswith(self.prefix) else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        if not (isinstance(name, str) and name.startswith(self.prefix)):
            return super().__contains__(name)
        try:
            self.member(name)
        except UserError:
            return False
        return True
