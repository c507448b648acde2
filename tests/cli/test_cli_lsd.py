"""The command line of LSD's repository: every published flag, default and command, and what it does not allow."""

from __future__ import annotations

import pytest
from published_flags import FLAGS, LSD, assert_arrives

from dml.cli.train import parse_train
from dml.config import ConfigWarning
from dml.losses import LOSSES
from dml.miners import MINERS

PUBLISHED = FLAGS["lsd/parameters"]
BASIC = [
    *("--loss", "triplet", "--batch_mining", "distance", "--log_online", "--project", "DML_Project"),
    *("--group", "CUB_Triplet_distance", "--seed", "0", "--gpu", "0", "--bs", "112", "--data_sampler", "class_random"),
    *("--samples_per_class", "2", "--arch", "resnet50_frozen_normalize", "--source", "data", "--dataset", "cub200"),
    *("--n_epochs", "150", "--lr", "0.00001", "--embed_dim", "128", "--evaluate_on_gpu"),
]


def config(*arguments: str):
    return parse_train(arguments).config


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit):
        parse_train(arguments)
    return capsys.readouterr().err


WITHOUT_EFFECT = ("evaluate_on_gpu", "evaltypes")
BESIDE = {
    "tv_split_by_samples": ["--use_tv_split"],
    "tv_split_perc": ["--use_tv_split"],
    "kd_tau": ["--loss", "triplet_lsd"],
    "kd_alpha": ["--loss", "triplet_lsd"],
    "noisy_ratio": ["--noisy_label", "--noisy_ratio", "0.1"],
}
SAMPLERS = {
    "data_gc": "greedy_coreset",
    "data_batchmatch": "fid_batchmatch",
    "data_mb": "d2_coreset --data_idx_full_prec --data_mb_mom 0.3",
}


def unlike_the_default_of(entry: dict) -> bool | int | float:
    if "action" in entry:
        return True
    return entry["default"] + 1 if entry["type"] == "int" else entry["default"] * 0.75 or 0.25


def place_of(entry: dict) -> tuple[tuple[str, object, object], list[str]]:
    """Where a published flag ends, with words and a value, and what must be typed beside it."""
    name = entry["flags"][0].strip("-")
    specs = {"loss": LOSSES, "miner": MINERS}.get(name.partition("_")[0], {})
    owner = next((owner for owner, spec in specs.items() if name in spec.options), None)
    if owner is not None:
        value = unlike_the_default_of(entry)
        beside = ["--loss", owner] if specs is LOSSES else ["--loss", "triplet", "--batch_mining", owner]
        if name == "loss_snr_reg_lambda":
            beside += ["--batch_mining", "random"]  # the default miner sets it to 0, as published
        return (f"loss.options.{name}", str(value), value), beside
    if LSD[name][0].startswith("feature_sampling."):
        sampler = next((value for key, value in SAMPLERS.items() if name.startswith(key)), "d2_coreset")
        return LSD[name], ["--loss", "triplet", "--data_sampler", *sampler.split()]
    return LSD[name], ["--loss", "triplet", *BESIDE.get(name, [])]


@pytest.mark.parametrize("entry", [e for e in PUBLISHED if e["flags"] != ["--wandb_key"]], ids=lambda e: e["flags"][0])
def test_published_flags_arrive_in_both_spellings(entry):
    name = entry["flags"][0].strip("-")
    if name in WITHOUT_EFFECT:
        words = ["x"] if name == "evaltypes" else []
        for spelling in (name, name.replace("_", "-")):
            assert config("--loss", "triplet", f"--{spelling}", *words) == config("--loss", "triplet")
        return
    place, beside = place_of(entry)
    assert_arrives(config, entry, {name: place}, beside=beside, is_default=name == "log_online")


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("data", {"batch_size": 112, "IPC": 2, "sampler": "class_random", "workers": 6, "augmentation": "base"}),
        ("model", {"model": "resnet50", "embedding_size": 128, "pooling": "avg", "head_init": "torch"}),
        ("model", {"bn_freeze": True, "bn_affine": True, "l2_norm": True, "pretrained": True}),
        ("optim", {"epochs": 150, "lr": 1e-5, "weight_decay": 4e-4, "optimizer": "adam", "scheduler": "multistep"}),
        ("optim", {"sgd_momentum": 0.9, "nesterov": False}),
        ("optim", {"milestones": (1000,), "lr_decay_gamma": 0.3, "warm": 0, "clip_value": 0.0, "head_lr": 1e-5}),
        ("evaluation", {"eval_distance": "euclidean", "select_metric": "e_recall_at_1", "train_metrics": True}),
        ("run", {"seed": 1}),
    ],
)
def test_published_defaults(section, values):
    found = vars(getattr(config("--loss", "triplet"), section))
    assert {name: found[name] for name in values} == values


@pytest.mark.parametrize(("published", "ours"), [("step", "multistep"), ("none", "constant")])
def test_published_schedules(published, ours):
    assert config("--loss", "triplet", "--scheduler", published).optim.scheduler == ours


def test_published_defaults_of_losses_and_miners():
    """Every ``loss_*`` and ``miner_*`` flag whose published default is a number."""
    specs = [*LOSSES.values(), *MINERS.values()]
    checked = 0
    for entry in PUBLISHED:
        flag = entry["flags"][0].lstrip("-")
        owners = [spec for spec in specs if flag in spec.options]
        if flag.startswith(("loss_", "miner_")) and entry.get("action") != "store_true":
            assert owners, flag
            assert [spec.default(flag) for spec in owners] == [entry["default"]] * len(owners), flag
            checked += 1
    assert checked > 30


def test_the_published_commands():
    plain = config(*BASIC)
    assert (plain.loss.loss, plain.loss.miner, plain.distillation) == ("triplet", "distance", None)
    assert (plain.data.dataset, plain.run.wandb, plain.run.project) == ("cub", "auto", "DML_Project")
    distilled = config(*BASIC, "--loss", "triplet_lsd", "--kd_alpha", "50.0", "--kd_tau", "1.0")
    assert (distilled.distillation.kd_alpha, distilled.distillation.kd_tau) == (50.0, 1.0)
    assert distilled.recipe == "lsd"
    noisy = config(*BASIC, "--noisy_label", "--noisy_ratio", "0.3")
    assert noisy.noise.noisy_ratio == 0.3
    assert config(*BASIC, "--loss", "triplet_lsd").distillation.kd_alpha == 200.0


@pytest.mark.parametrize("loss", ["Proxy_Anchor", "MS", "Triplet", "multisimilarity", "softmax", "ap_loss", "margin"])
def test_any_loss_can_be_distilled_under_its_own_recipe(loss):
    ours, plain = config("--loss", loss + "_lsd"), config("--loss", loss)
    assert ours.recipe == plain.recipe
    assert (ours.distillation is None, plain.distillation is None) == (False, True)


def test_a_name_by_arch_is_only_what_its_endings_say():
    model = config("--loss", "triplet", "--arch", "resnet18_normalize").model
    assert (model.model, model.l2_norm, model.bn_freeze) == ("resnet18", True, False)
    assert config("--loss", "triplet", "--model", "resnet18").model.bn_freeze
    assert config("--loss", "triplet", "--arch", "resnet18", "--l2-norm", "1").model.l2_norm
    assert config("--arch", "resnet50").model.bn_freeze  # Proxy-Anchor's own defaults


def test_of_model_and_arch_the_last_counts():
    assert config("--model", "resnet18", "--arch", "resnet50_frozen").model.model == "resnet50"
    model = config("--arch", "resnet50_frozen", "--model", "resnet18").model
    assert (model.model, model.bn_freeze) == ("resnet18", True)


def test_scheduler_step_is_that_repository_s():
    optim = config("--loss", "margin", "--scheduler", "step", "--tau", "30", "60", "--gamma", "0.1").optim
    assert (optim.scheduler, optim.milestones, optim.lr_decay_gamma) == ("multistep", (30, 60), 0.1)
    assert config("--loss", "margin", "--scheduler", "step", "--lr-decay-step", "5").optim.scheduler == "step"


def test_a_typed_selection_wins_over_the_recipe_s():
    chosen = config("--loss", "triplet", "--metrics", "recall", "--select-metric", "recall_at_1").evaluation
    assert (chosen.select_metric, chosen.storage_metrics) == ("recall_at_1", ())


def test_run_names():
    assert config(*BASIC, "--savename", "group_plus_seed").run.run_name == "CUB_Triplet_distance_s0"
    assert config(*BASIC, "--savename", "mine").run.run_name == "mine"


def test_miners_and_their_options():
    assert config("--loss", "npair").loss.miner == "npair"
    assert config("--loss", "multisimilarity").loss.miner is None
    options = config(
        "--loss", "triplet", "--batch_mining", "rho_distance", "--miner_rho_distance_cp", "0.5"
    ).loss.options
    cutoffs = {"miner_rho_distance_lower_cutoff": 0.5, "miner_rho_distance_upper_cutoff": 1.4}
    assert options == {"loss_triplet_margin": 0.2, "miner_rho_distance_cp": 0.5} | cutoffs


def test_an_option_that_the_miner_sets_has_no_effect_and_that_is_said():
    with pytest.warns(ConfigWarning, match="--loss_snr_reg_lambda has no effect with --batch_mining distance"):
        config("--loss", "snr", "--loss_snr_reg_lambda", "0.1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--loss", "triplet", "--batch_mining", "npair"), "cannot serve --loss triplet; it takes distance"),
        (("--loss", "multisimilarity", "--batch_mining", "distance"), "takes no tuples"),
        (("--loss", "triplet", "--miner_rho_distance_cp", "0.5"), "not used by --batch_mining distance"),
        (("--loss", "triplet", "--batch_mining", "distanse"), "Did you mean 'distance'"),
        (("--loss", "triplet", "--kd_alpha", "50"), "--loss triplet_lsd"),
        (("--loss", "triplet_lsd", "--kd_tau", "0"), "--kd_tau must be positive"),
        (("--loss", "triplett_lsd"), "triplet"),
        (("--loss", "triplet", "--loss_margin_beta", "1"), "--loss_margin_beta is not used by --loss triplet"),
        (("--loss", "triplet", "--data_gc_softened"), "samplers of features only"),
        (("--loss", "triplet", "--data_sampler", "d2_coreset", "--data_gc_softened"), "but by greedy_coreset"),
        (("--loss", "triplet", "--loss_triplet_margin", "nan"), "--loss_triplet_margin must be a finite number"),
        (("--loss", "triplet", "--miner_distance_lower_cutoff", "inf"), "must be a finite number, got inf"),
        (("--loss", "triplet", "--fc_lr", "0"), "--fc_lr must be positive, or be -1, got 0.0"),
        (("--loss", "triplet", "--wandb_key", "secret"), "WANDB_API_KEY"),
        (("--loss", "triplet", "--arch", "resnet51_frozen"), "resnet51"),
        (("--loss", "triplet", "--data_sampler", "d2_coreset", "--data_mb_mom", "2"), "--data_mb_mom"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message, capsys):
    assert message.replace(" ", "") in refused(capsys, *arguments).replace(" ", "")
