"""All settings of a training, and their way into ``config.json`` and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from dml.conditions import Settings
from dml.config.base import Section
from dml.config.classification import ClassificationConfig
from dml.config.data import DataConfig
from dml.config.finetuning import FinetuningConfig
from dml.config.methods import DistillationConfig, EMATeacherConfig, IntrospectiveConfig, TransferConfig
from dml.config.noise import NoiseConfig
from dml.config.sampling import FeatureSamplingConfig
from dml.config.sections import (
    EvalConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
)
from dml.config.self_taught import SelfTaughtConfig
from dml.config.switches import TRAIN, Switch
from dml.errors import UserError
from dml.redact import redact

PUBLISHED_NAMES = {"main.py": "train_stml.py"}
"""Entry points that also have the name of their publication → the name that we call them by."""


def own_name(program: str) -> str:
    """What we call the entry point ``program``."""
    return PUBLISHED_NAMES.get(program, program)


@dataclass(frozen=True)
class LossConfig:
    """The loss and its options.

    Attributes:
        loss: the name as the user spelled it.
        memory: whether over a cross-batch memory.
        mixup: whether a mixed batch is trained on beside the plain one.
        miner: picks the tuples of a loss that takes some; None: the loss's own.
        options: flag name → value, the miner's among them.
        complete: whether ``options`` are all there are, with the values that are used (``dml.methods.effective``), and
            not those that were typed, as older versions recorded them.
    """

    loss: str
    memory: bool = False
    mixup: bool = False
    miner: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training needs to know.

    Here a section gets its name and its place in the record. Those that may be None only some runs have: their
    ``switch`` says which (``dml.config.switches``), and for everything else that differs between sections.

    Attributes:
        recipe: whose published defaults apply.
    """

    recipe: str
    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    optim: OptimConfig
    evaluation: EvalConfig
    run: RunConfig
    finetuning: FinetuningConfig = field(default_factory=FinetuningConfig)
    distillation: DistillationConfig | None = None
    ema_teacher: EMATeacherConfig | None = None
    feature_sampling: FeatureSamplingConfig | None = None
    introspective: IntrospectiveConfig | None = None
    noise: NoiseConfig | None = None
    transfer: TransferConfig | None = None
    classification: ClassificationConfig | None = None
    self_taught: SelfTaughtConfig | None = None

    @property
    def program(self) -> str:
        """The entry point that the run belongs to."""
        return next((switch.programs[0] for switch in self._switches() if switch.condition is None), TRAIN)

    def _switches(self) -> list[Switch]:
        """Those that are on."""
        return [section.switch for name, section in OWN_SECTIONS.items() if getattr(self, name) is not None]

    @property
    def embedding(self) -> DataConfig:
        """``data`` for passes without training: of a batch that trains in pieces, a piece at a time."""
        return dataclasses.replace(self.data, batch_size=-(-self.data.batch_size // self.run.accumulate))

    def default_run_name(self) -> str:
        """What the run is, in a folder's name."""
        parts = [
            self.model.model.replace("/", "_").replace(":", "_"),
            *([f"{self.model.embedding_size}d"] if self.classification is None else []),
            self.method_name,
            f"lr{self.optim.lr:g}",
            f"bs{self.data.batch_size}",
            f"seed{self.run.seed}",
        ]
        return "_".join([*parts, self.run.remark] if self.run.remark else parts)

    @property
    def method_name(self) -> str:
        """The loss and what it is combined with."""
        of_sections = [switch.in_run_name for switch in self._switches() if switch.in_run_name]
        return "_".join(
            [
                self.loss.loss.replace("/", "_"),
                *["memory"] * self.loss.memory,
                *of_sections,
                *["mixup"] * self.loss.mixup,
            ],
        )

    def record(self) -> dict[str, Any]:
        """Section → setting → value, as ``config.json``, checkpoints and W&B have it: without secrets in paths."""
        return redact(dataclasses.asdict(self))

    def to_json(self) -> str:
        """For ``config.json`` in the run folder."""
        return json.dumps(self.record(), indent=1)


def _sections() -> dict[str, type[Section]]:
    """The sections among the fields of ``TrainConfig``."""
    kinds = {name: next(iter(get_args(hint)), hint) for name, hint in get_type_hints(TrainConfig).items()}
    return {name: kind for name, kind in kinds.items() if issubclass(kind, Section)}


SECTIONS = {name: section for name, section in _sections().items() if section.switch is None}
"""Those that every training has."""
OWN_SECTIONS = {name: section for name, section in _sections().items() if section.switch is not None}
"""Those that only some have."""


def sections_with(*own: str) -> dict[str, type[Section]]:
    """The sections of every training, and those of ``OWN_SECTIONS`` that are named."""
    return SECTIONS | {name: OWN_SECTIONS[name] for name in own}


def sections_of(program: str) -> dict[str, type[Section]]:
    """The sections of ``OWN_SECTIONS`` that runs of an entry point may have."""
    return {name: section for name, section in OWN_SECTIONS.items() if program in section.switch.programs}


def switched_on(program: str, settings: Settings) -> list[str]:
    """Names of the sections of ``OWN_SECTIONS`` that a run of ``program`` with these settings has."""
    return [name for name, section in sections_of(program).items() if section.switch.is_on(settings)]


def section_values(section: type, values: dict[str, Any]) -> Any:
    """Build ``section`` from those of ``values`` that are its fields, its own defaults for the rest."""
    names = {item.name for item in dataclasses.fields(section)}
    return section(**{name: _tuples(value) for name, value in values.items() if name in names})


def train_config(recipe: str, loss: LossConfig, values: dict[str, Any], *own: str) -> TrainConfig:
    """A ``TrainConfig`` with the sections ``own`` of ``OWN_SECTIONS``, from flat values, field name → value.

    Raises:
        UserError: any that does not fit.
    """
    built = {name: section_values(section, values) for name, section in sections_with(*own).items()}
    return TrainConfig(recipe=recipe, loss=loss, **built)


def train_config_from_json(text: str, changes: Mapping[str, Any] | None = None) -> TrainConfig:
    """The inverse of ``TrainConfig.to_json``. UserError on anything else, naming what is wrong.

    A setting that is younger than the run has the value that the run had without it.

    Args:
        changes: field name → another value than the stored one.
    """
    try:
        stored = json.loads(text)
        own = [name for name in OWN_SECTIONS if stored.get(name) is not None]
        sections = sections_with(*own)
        flat = {name: value for section in sections for name, value in _stored(stored, section).items()}
        flat = _settled_by_code(flat, self_taught="self_taught" in own) | flat | dict(changes or {})
        known = {item.name: item for section in sections.values() for item in dataclasses.fields(section)}
        if unknown := sorted(set(flat) - set(known)):
            raise UserError(f"settings unknown to this version: {', '.join(unknown)}")
        flat = {name: item.metadata["before"] for name, item in known.items() if "before" in item.metadata} | flat
        return train_config(stored["recipe"], LossConfig(**stored["loss"]), flat, *own)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise UserError(f"not a run's config.json: {error!r}") from error


def _stored(run: dict[str, Any], section: str) -> dict[str, Any]:
    """What a run recorded of a section; runs from before there was fine-tuning recorded nothing of it."""
    return run.get(section, {}) if section == "finetuning" else run[section]


def _settled_by_code(flat: dict[str, Any], *, self_taught: bool) -> dict[str, Any]:
    """What runs from before a setting had in place of its default; a run is continued as it began."""
    if self_taught and flat.get("model") == "inception_v1":
        return {"norm_convention": "n_eps_1e-5"}
    return {}


def _tuples(value: Any) -> Any:
    """JSON has lists where the dataclasses have tuples."""
    return tuple(value) if isinstance(value, list) else value
