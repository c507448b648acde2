"""Sections that only some runs have: what turns them on, and what their flags say without."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from types import SimpleNamespace

import pytest

from dml.config import OWN_SECTIONS, SECTIONS, LossConfig, TrainConfig, sections_of, switched_on, train_config
from dml.config.base import Section, like, option
from dml.config.switches import by_choice, by_flag, by_program, by_setting

PROGRAMS = ("train.py", "train_target.py", "train_stml.py", "classify.py")
NEEDED = {"source_ckpt": "s.pt", "noisy_ratio": 0.1}


def test_every_section_of_a_training_is_known_by_its_name():
    others = {"recipe", "loss"}
    assert {item.name for item in fields(TrainConfig)} - others == {*SECTIONS, *OWN_SECTIONS}
    assert {item.name for item in fields(TrainConfig) if item.default is None} == {*OWN_SECTIONS}


@pytest.mark.parametrize("name", OWN_SECTIONS)
def test_every_section_says_when_it_is_there(name):
    switch = OWN_SECTIONS[name].switch
    assert set(switch.programs) <= set(PROGRAMS)
    assert (switch.condition is None) != bool(switch.way)
    assert bool(switch.flag) == bool(switch.help)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_run_belongs_to_the_program_whose_sections_it_has(program):
    always = [name for name, section in sections_of(program).items() if section.switch.condition is None]
    config = train_config("proxy_anchor", LossConfig("loss"), NEEDED, *always)
    assert config.program == program


def test_what_is_on():
    typed = {"noisy_label": True, "introspective": False, "sampler": "d2_coreset", "distilled": False}
    assert switched_on("train.py", typed) == ["feature_sampling", "noise"]
    assert switched_on("train.py", {"introspective": True, "distilled": True}) == ["distillation", "introspective"]
    assert switched_on("train_stml.py", {}) == ["self_taught"]


def said(switch, **settings) -> str | None:
    """What is said of a flag of the section under these settings; None: nothing."""
    condition = switch.condition
    assert condition.holds(settings) == switch.is_on(settings)
    return None if condition.holds(settings) else condition.said(settings)


def test_a_flag_of_its_own():
    switch = by_flag("sharp", "sharper images", "sharpening")
    assert said(switch, sharp=True) is None
    assert said(switch, sharp=False) == said(switch) == "is used by sharpening only: add --sharp"


def test_a_setting_of_its_own():
    switch = by_setting("my_weight", "my method")
    assert said(switch, my_weight=0.0) is None
    assert said(switch, my_weight=None) == said(switch) == "is used by my method only: add --my-weight"


def test_a_choice_of_another_setting():
    switch = by_choice(lambda settings: settings["loss"] == "a", "a", "--loss a, not {loss}")
    assert said(switch, loss="a") is None
    assert said(switch, loss="b") == "is used by a only: --loss a, not b"


def test_every_flag_of_a_section_has_its_condition():
    @dataclass(frozen=True)
    class Sharpening(Section):
        """Sharper images."""

        switch = by_flag("sharp", "sharper images", "sharpening")
        radius: float = option(1.0, "pixels")

    @dataclass(frozen=True)
    class Always(Section):
        """Of a program."""

        switch = by_program("train_stml.py")
        radius: float = like(Sharpening, "radius", 2.0)

    for section in (Sharpening, Always):
        (item,) = dataclasses.fields(section)
        assert (*section.conditions(), *item.metadata["used_if"]) == (Sharpening.switch.condition,)


def test_a_name_of_the_run_says_it_in_the_order_of_the_record():
    config = train_config("idml", LossConfig("triplet", memory=True, mixup=True), {}, "introspective", "distillation")
    assert "_triplet_memory_introspective_mixup_" in config.default_run_name()


def test_what_a_loss_must_have():
    fits = OWN_SECTIONS["introspective"].switch.fits
    assert [fits(SimpleNamespace(takes_similarity=takes)) for takes in (True, False)] == [True, False]
