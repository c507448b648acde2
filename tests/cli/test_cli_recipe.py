"""``--recipe NAME``: the defaults of one publication, whatever the loss."""

from __future__ import annotations

import pytest
from test_cli import error_of, flat

from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import train_config_from_json
from dml.recipes import RECIPES

pytestmark = pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")
# What a loss brings of its own into the sections that every training has.
OF_THE_LOSS = {"proxy_lr_scale"}
PARSE = {
    "train.py": parse_train,
    "train_target.py": parse_target,
    "train_stml.py": parse_stml,
    "classify.py": parse_classify,
}
NEEDED = {"train_target.py": ["--source-ckpt", "s.pt"]}


def train(*arguments: str):
    return parse_train(arguments).config


def differing(one, other) -> set[str]:
    one, other = flat(one), flat(other)
    return {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize("loss", ["triplet", "margin", "ProxyISA", "softtriple", "Triplet_lsd", "MS"])
@pytest.mark.parametrize("recipe", ["proxy_anchor", "lsd", "proxy_isa", "idml", "transfer_source"])
def test_everything_but_the_loss_stays(loss, recipe):
    config, other = train("--loss", loss, "--recipe", recipe), train("--loss", "Triplet", "--recipe", recipe)
    assert differing(config, other) <= OF_THE_LOSS
    assert (config.recipe, config.loss.loss, config.loss.mixup) == (recipe, loss, other.loss.mixup)


OWN = {"Triplet": "proxy_anchor", "triplet": "lsd", "ProxyNCA": "proxy_isa"}


@pytest.mark.parametrize(("loss", "recipe"), OWN.items())
def test_the_own_recipe_changes_nothing(loss, recipe):
    assert train("--loss", loss, "--recipe", recipe) == train("--loss", loss)


def test_twins_differ_by_twenty_settings_without():
    assert len(differing(train("--loss", "Triplet"), train("--loss", "triplet"))) >= 20
    assert not differing(train("--loss", "Triplet"), train("--loss", "triplet", "--recipe", "proxy_anchor"))


def test_what_is_typed_wins_over_it_and_it_over_other_choices():
    assert train("--recipe", "lsd", "--lr", "0.5").optim.lr == 0.5
    assert train("--introspective").recipe == "idml"
    config = train("--introspective", "--recipe", "proxy_anchor")
    assert (config.recipe, config.model.model, config.loss.mixup) == ("proxy_anchor", "bn_inception", False)
    assert config.introspective is not None
    config = train("--as-source", "--recipe", "idml")
    assert (config.recipe, config.run.as_source, config.model.l2_norm) == ("idml", True, True)
    assert train("--recipe", "idml", "--loss", "triplet_lsd").distillation is not None


def test_its_sampler_goes_with_it():
    def sampler(*words: str) -> str:
        return train("--loss", "triplet", "--IPC", "5", *words).data.sampler

    assert (sampler(), sampler("--recipe", "proxy_isa")) == ("class_random", "power_balanced")


def test_the_record_holds_it(tmp_path):
    config = train("--loss", "triplet", "--recipe", "proxy_anchor")
    assert train_config_from_json(config.to_json()) == config
    (tmp_path / "config.json").write_text(config.to_json())
    assert parse_train(["--resume-run", str(tmp_path)]).config == config


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("program", PARSE)
def test_of_each_program(name, program, capsys):
    words = ["--recipe", name, *NEEDED.get(program, [])]
    if RECIPES[name].program == program:
        assert PARSE[program](words).config.recipe == name
    else:
        said = error_of(capsys, *words, parse=PARSE[program])
        assert f"--recipe {name} is one of {RECIPES[name].program}'s, {program} has " in said


def test_an_unknown_one(capsys, tmp_path):
    said = error_of(capsys, "--recipe", "proxi_anchor")
    assert "unknown recipe 'proxi_anchor'. Did you mean 'proxy_anchor'? Valid: proxy_anchor, proxy_isa" in said
    (tmp_path / "config.json").write_text(train().to_json())
    assert "leave out --recipe" in error_of(capsys, "--resume-run", str(tmp_path), "--recipe", "lsd")


def test_the_remark_on_a_twin_names_it():
    (said,) = parse_train(["--loss", "triplet"]).remarks
    assert said.endswith("; --recipe proxy_anchor beside --loss triplet takes these settings alone")
    assert parse_train(["--loss", "triplet", "--recipe", "proxy_anchor"]).remarks == (
        "triplet is not Triplet (another function)",
    )
