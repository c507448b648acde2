"""How a loss of the registry is described: options, recipe, what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from dml.conditions import Condition, unless
from dml.options import Option, Spec
from dml.ranges import at_least

# Miners of triplets, a loss's default first; those with one margin take one that looks within it too.
TRIPLET_MINERS = ("distance", "softhard", "random", "rho_distance", "random_distance", "parametric", "intra_random")
MARGIN_MINERS = (*TRIPLET_MINERS, "semihard")


@dataclass(frozen=True, kw_only=True)
class LossSpec(Spec):
    """How a loss is built and trained.

    ``build`` is called with ``num_classes``, ``embedding_size`` and the options' arguments, all by keyword.

    Attributes:
        recipe: whose published training defaults go with it (``dml.recipes``).
        spelling_recipes: spellings whose repository has the same function and trains it with other defaults.
        has_proxies: whether its own parameters, if it has any, are a vector for each class, its ``proxies``.
        lr_scale: learning rate of the loss's own parameters, in multiples of the base rate; None if it has none.
        lr_option: the option that sets that rate; it is no argument of ``build``, and ``lr_scale`` is its default.
        lr_is_absolute: whether ``lr_option`` and ``lr_scale`` are learning rates and no multiples of the base rate.
        miners: names of those that can pick its tuples, its default first; empty without tuples.
        fixed_by_miner: miner → values of options that the published code fixes with it, whatever was asked for.
        defaults_by_model: backbone → defaults of options that differ with it, as published.
        clip: whether the published recipe clips the gradients of the loss's own parameters too.
        needs_positives: whether a batch without two images of a class gives no gradient.
        with_memory: the entry that ``--enableMemory`` selects instead (a loss with a memory: itself); None: none.
        distilled_length: length that rows are brought to before they are distilled (``--loss X_lsd``); None: as they
            are.
        miner_family: how the names of those begin that can pick its tuples, if it is no list; "" otherwise.
        advice: what a user who chose this loss should know; a warning at start.
    """

    kind: ClassVar[str] = "loss"

    recipe: str
    spelling_recipes: Mapping[str, str] = field(default_factory=dict)
    has_proxies: bool = True
    lr_scale: float | None = None
    lr_option: str | None = None
    lr_is_absolute: bool = False
    miners: tuple[str, ...] = ()
    fixed_by_miner: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    defaults_by_model: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    clip: bool = False
    needs_positives: bool = False
    with_memory: str | None = None
    distilled_length: float | None = None
    miner_family: str = ""
    advice: str = ""

    @property
    def tuples(self) -> str:
        """Which tuples of the batch it is given by a miner: "triplets", "sets", "indices", or "" for none
        (``dml.miners``)."""
        return getattr(self.build, "tuples", "")

    @property
    def default_miner(self) -> str | None:
        """Which miner picks its tuples unless another is asked for; None: none does."""
        return next(iter(self.miners), None)

    def can_use(self, miner: str) -> bool:
        """Whether the miner of that name can pick its tuples."""
        return miner in self.miners or bool(self.miner_family and miner.startswith(self.miner_family))

    @property
    def usable_miners(self) -> str:
        """Those for which that holds, in words."""
        return f"{self.miner_family}CLASS" if self.miner_family else ", ".join(self.miners)

    @property
    def learns_from_pairs(self) -> bool:
        """Whether it compares images of a class with each other, in a batch or over a memory, and with no proxies."""
        return self.needs_positives or ("memory-size" in self.options and self.lr_scale is None)

    @property
    def takes_similarity(self) -> bool:
        """Whether ``build`` also takes a ``similarity`` (``dml.losses.similarity``) in place of the loss's own."""
        return self.takes("similarity")

    @property
    def decays(self) -> bool:
        """Whether weight decay applies to the loss's own parameters, as it does in all published systems but LSD.

        It would pull the margins of classes that are not in the batch to 0, a full step of Adam each time.
        """
        return self.recipe != "lsd"

    def default(self, option: str) -> object:
        """The default of an option; of ``lr_option`` it is ``lr_scale``."""
        return self.lr_scale if option == self.lr_option else super().default(option)

    def complete(
        self, options: Mapping[str, object], *, miner: str | None = None, model: str | None = None
    ) -> dict[str, object]:
        """Every option of the loss with the value that is used, flag → value; arguments as for ``arguments``."""
        return super().complete(self._settled(options, miner, model))

    def arguments(
        self, options: Mapping[str, object], *, miner: str | None = None, model: str | None = None
    ) -> dict[str, object]:
        """Keyword arguments of ``build``.

        Args:
            options: flag → value.
            miner: which picks the tuples, and may fix options.
            model: the backbone, with which defaults may differ.

        Raises:
            UserError: an option that there is not; the message lists those that there are.
        """
        return super().arguments(self._settled(options, miner, model))

    def _settled(self, options: Mapping[str, object], miner: str | None, model: str | None) -> dict[str, object]:
        return {**self.defaults_by_model.get(model, {}), **options, **self.fixed_by_miner.get(miner, {})}

    def parameter_lr_scale(self, options: Mapping[str, object], *, base_lr: float) -> float:
        """Learning rate of the loss's own parameters under ``options``, in multiples of ``base_lr``."""
        rate = options.get(self.lr_option, self.lr_scale)
        if rate is None:
            return 1.0
        return rate / base_lr if self.lr_is_absolute else rate


def rate_option(text: str, *used_if: Condition) -> Option:
    """The ``lr_option`` of a criterion, which sets the learning rate of its own parameters; ``text`` is its help."""
    return Option("lr_scale", text, within=at_least(0), used_if=(*used_if, unless("scheduler", "cyclic")))
