"""How a loss of the registry is described: options, recipe, what it needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from dml.options import Option as LossOption
from dml.options import with_defaults


@dataclass(frozen=True)
class LossSpec:
    """How a loss is built and trained.

    Attributes:
        build: called with ``num_classes``, ``embedding_size`` and the options' arguments, all by keyword.
        recipe: whose published training defaults go with it (``dml.recipes``).
        options: flag name without dashes → what it sets.
        has_proxies: whether its own parameters, if it has any, are a vector for each class, its ``proxies``.
        lr_scale: learning rate of the loss's own parameters, in multiples of the base rate; None if it has none.
        lr_option: the option that sets that rate; it is no argument of ``build``, and ``lr_scale`` is its default.
        lr_is_absolute: whether ``lr_option`` and ``lr_scale`` are learning rates and no multiples of the base rate.
        tuples: which tuples of the batch it is given by a miner: "triplets", "sets", or "" for none (``dml.miners``).
        miners: names of those it can use, its default first; empty without tuples.
        fixed_by_miner: miner → values of options that the published code fixes with it, whatever was asked for.
        defaults_by_model: backbone → defaults of options that differ with it, as published.
        clip: whether the published recipe clips the gradients of the loss's own parameters too.
        needs_positives: whether a batch without two images of a class gives no gradient.
        with_memory: the entry that ``--enableMemory`` selects instead (a loss with a memory: itself); None: none.
        distilled_length: length that rows are brought to before they are distilled (``--loss X_lsd``); None: as they
            are.
        advice: what a user who chose this loss should know; a warning at start.
    """

    build: Callable[..., nn.Module]
    recipe: str
    options: Mapping[str, LossOption] = field(default_factory=dict)
    has_proxies: bool = True
    lr_scale: float | None = None
    lr_option: str | None = None
    lr_is_absolute: bool = False
    tuples: str = ""
    miners: tuple[str, ...] = ()
    fixed_by_miner: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    defaults_by_model: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    clip: bool = False
    needs_positives: bool = False
    with_memory: str | None = None
    distilled_length: float | None = None
    advice: str = ""

    @property
    def learns_from_pairs(self) -> bool:
        """Whether it compares images of a class with each other, in a batch or over a memory, and with no proxies."""
        return self.needs_positives or ("memory-size" in self.options and self.lr_scale is None)

    @property
    def takes_similarity(self) -> bool:
        """Whether ``build`` also takes a ``similarity`` (``dml.losses.similarity``) in place of the loss's own."""
        return "similarity" in inspect.signature(self.build).parameters

    @property
    def decays(self) -> bool:
        """Whether weight decay applies to the loss's own parameters, as it does in all published systems but LSD.

        It would pull the margins of classes that are not in the batch to 0, a full step of Adam each time.
        """
        return self.recipe != "lsd"

    def default(self, option: str) -> object:
        """The default of an option, read from the signature of what it sets."""
        if option == self.lr_option:
            return self.lr_scale
        return self.options[option].default_in(self.build)

    def complete(
        self, options: Mapping[str, object], *, miner: str | None = None, model: str | None = None
    ) -> dict[str, object]:
        """Every option of the loss with the value that is used, flag → value; arguments as for ``arguments``."""
        return with_defaults(self, self._settled(options, miner, model))

    def arguments(
        self, options: Mapping[str, object], *, miner: str | None = None, model: str | None = None
    ) -> dict[str, object]:
        """Keyword arguments of ``build``; KeyError for a flag that is no option of it.

        Args:
            options: flag → value.
            miner: which picks the tuples, and may fix options.
            model: the backbone, with which defaults may differ.
        """
        values = self._settled(options, miner, model)
        return {self.options[flag].argument: value for flag, value in values.items() if flag != self.lr_option}

    def _settled(self, options: Mapping[str, object], miner: str | None, model: str | None) -> dict[str, object]:
        return {**self.defaults_by_model.get(model, {}), **options, **self.fixed_by_miner.get(miner, {})}

    def parameter_lr_scale(self, options: Mapping[str, object], *, base_lr: float) -> float:
        """Learning rate of the loss's own parameters under ``options``, in multiples of ``base_lr``."""
        rate = options.get(self.lr_option, self.lr_scale)
        if rate is None:
            return 1.0
        return rate / base_lr if self.lr_is_absolute else rate
