"""The table of scripts, the committed scripts, the results tables of our pages and the published figures agree."""

from __future__ import annotations

import json
import re

import pytest

import make_scripts
from dml.losses import LOSSES
from entrypoints import ROOT
from make_scripts import PAGES, REPORTED, TableError, fill_tables, read_table, reported_table

SCRIPTS = read_table()
TABLE = ROOT / "scripts" / "commands.toml"
PUBLISHED = json.loads((ROOT / "tests" / "reference" / "published_results.json").read_text())
FOLDERS = {"cub": "cub", "cars": "cars", "SOP": "sop", "Inshop": "inshop"}


def test_the_committed_scripts_are_the_table_s():
    committed = {str(file.relative_to(ROOT / "scripts")): file.read_text() for file in ROOT.glob("scripts/*/*.sh")}
    assert committed == {f"{path}.sh": script.text() for path, script in SCRIPTS.items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_our_pages_say_what_the_table_says(page):
    assert fill_tables(page.read_text(), SCRIPTS) == page.read_text()


def test_the_figures_that_reports_show_are_the_table_s():
    assert REPORTED.read_text() == reported_table(SCRIPTS)


def test_every_script_is_on_a_page():
    pages = "\n".join(page.read_text() for page in PAGES)
    for path in SCRIPTS:
        folder, name = path.split("/")
        pattern = re.sub(r"lsd_.*_alone", "…_alone", re.sub(r"lsd_.*(?<!_alone)$", f"{folder}/lsd_<criterion>", name))
        places = (path, name if name.startswith("transfer_") else path, pattern.replace(folder, "<cub|cars|sop>"))
        assert any(f"{place}.sh" in pages for place in places), path


def published() -> dict[str, dict[str, str]]:
    """Path → reported figures, of all that tests/reference has."""
    figures = {}

    def take(rows: dict[str, list[float]], name: str) -> None:
        for key, values in rows.items():
            dataset, metrics = key.split(" ")
            ranks = re.findall(r"\d+", metrics)
            names = [f"R@{rank}" for rank in ranks] + re.findall(r"NMI|RP|MAP@R", metrics)
            figures[f"{FOLDERS[dataset]}/{name}"] = dict(zip(names, map(float, values), strict=True))

    for (setting, losses), short in zip(
        PUBLISHED["label_relaxation"].items(), ("self", "dim", "compress"), strict=True
    ):
        assert setting.startswith({"self": "self", "dim": "dimension", "compress": "compression"}[short])
        for loss, rows in losses.items():
            if loss != "Source: PA":
                take(rows, f"transfer_{short}_{'relaxed_contra' if loss == 'Ours' else loss.lower()}")
    for size, rows in PUBLISHED["proxy_anchor"].items():
        take(rows, f"proxy_anchor_{size.removesuffix('-512')}")
    take(PUBLISHED["idml resnet50-512"], "idml_resnet50")
    take(PUBLISHED["proxy_isa bn_inception-512"], "proxy_isa_bn_inception")
    for dataset, rows in PUBLISHED["idml classification top-1, baseline -> introspective"].items():
        folder, _, network = dataset.lower().replace("-", "").partition(" ")
        for mix, values in rows.items():
            for name, value in zip(("cross_entropy", "idml"), values, strict=True):
                parts = (name, *([] if mix == "plain" else [mix]), network or "pyramidnet200")
                figures[f"{folder}/{'_'.join(parts)}"] = {"top-1": value}
    for folder, value in zip(("cub", "cars", "sop"), PUBLISHED["stml"]["googlenet-512 R@1 cub,cars,SOP"], strict=True):
        figures[f"{folder}/stml_googlenet"] = {"R@1": value}
    return figures


def test_reported_figures_are_the_published_ones():
    reported = {path: script.result.figures() for path, script in SCRIPTS.items() if script.result.reported}
    assert {
        path: {name: float(value) for name, value in figures.items()} for path, figures in reported.items()
    } == published()


def test_figures_of_a_variant_are_the_published_ones():
    variants = {path: script.variants for path, script in SCRIPTS.items() if script.variants}
    (flag,) = {flag for of_script in variants.values() for flag in of_script}
    found = [float(variants[f"{folder}/stml_googlenet"][flag].figures()["R@1"]) for folder in ("cub", "cars", "sop")]
    assert (flag, found) == ("--embedding_size 128", PUBLISHED["stml"]["googlenet-128 R@1 cub,cars,SOP"])


def test_every_published_criterion_has_its_scripts():
    published = {spelling for spec in LOSSES.values() if spec.recipe == "lsd" for spelling in spec.spellings}
    for spelling in {*published, "adversarial_separation"}:
        spec = LOSSES[spelling]
        for folder in ("cub", "cars", "sop"):
            for name, loss in ((f"lsd_{spelling}", f"{spelling}_lsd"), (f"lsd_{spelling}_alone", spelling)):
                flags = dict(flag.split(" ", 1) for flag in SCRIPTS[f"{folder}/{name}"].flags)
                assert flags["--loss"] == loss
                assert flags["--batch_mining"] in spec.miners if spec.tuples else "--batch_mining" not in flags


@pytest.fixture
def changed(tmp_path):
    """The scripts of the table with lines added to the row of ``cub/transfer_self_crd``."""

    def read(*lines: str) -> dict:
        text = TABLE.read_text()
        file = tmp_path / "commands.toml"
        row = '[scripts."cub/transfer_self_crd"]\n'
        file.write_text(text.replace(row, row + "".join(f"{line}\n" for line in lines)))
        return read_table(file)

    return read


def test_a_measured_figure_goes_where_the_reported_one_stands(changed):
    scripts = changed('measured = "R@1 67.9 ± 0.3, R@2 78.2 ± 0.1"', 'measured_how = "last epoch, seeds 0 to 2"')
    text = scripts["cub/transfer_self_crd"].text()
    assert "# Reported: R@1 67.7, R@2 78.1, R@4 85.7 (best epoch on the test split).\n" in text
    assert "# Measured: R@1 67.9 ± 0.3, R@2 78.2 ± 0.1 (last epoch, seeds 0 to 2).\n" in text
    before = (ROOT / "docs" / "transfer.md").read_text()
    line = "| `CRD` | 67.7 | {} | 85.3 | not yet run | 78.1 | not yet run | `transfer_self_crd.sh` |"
    after = fill_tables(before, scripts)
    assert after == before.replace(line.format("not yet run"), line.format("67.9 ± 0.3"))
    assert after != before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('epohcs = "3"', "nothing uses epohcs"),
        ('measured = "68"', "figures look like"),
        ('measured = "R@1 68"', "measured_how"),
        ('network = "vgg"', "'vgg' is missing, or not in the table"),
        ('with."--seed 1".reprted = "R@1 68"', "reprted"),
    ],
)
def test_a_slip_in_the_table_is_named(changed, line, said):
    with pytest.raises(TableError, match=f"cub/transfer_self_crd: .*{said}"):
        changed(line)


def test_regenerating_writes_the_same_and_not_the_table(tmp_path, monkeypatch):
    (tmp_path / "scripts").mkdir()
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs" / "results.md").read_text().replace("| 69.1 |", "| 96.1 |"))
    assert "| 96.1 |" in page.read_text()
    monkeypatch.setattr(make_scripts, "ROOT", tmp_path)
    monkeypatch.setattr(make_scripts, "PAGES", [page])
    before = TABLE.read_bytes()
    assert make_scripts.main([]) == 0
    assert page.read_text() == (ROOT / "docs" / "results.md").read_text()
    written = sorted((tmp_path / "scripts").glob("*/*.sh"))
    assert len(written) == len(SCRIPTS)
    assert all(file.stat().st_mode & 0o111 for file in written)
    assert TABLE.read_bytes() == before
    assert not (tmp_path / "scripts" / "commands.toml").exists()
