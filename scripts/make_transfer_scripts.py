"""Write the training scripts of embedding transfer, three settings × three data sets × eight losses, from a template.

python scripts/make_transfer_scripts.py            # writes scripts/<data set>/transfer_<setting>_<loss>.sh
python scripts/make_transfer_scripts.py --table    # prints the tables of docs/transfer.md
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "tests" / "reference" / "published_results.json"

TEMPLATE = """\
#!/usr/bin/env bash
# {loss}: {title}, {dataset_title}. {setting_title}.
# Paper: {paper}.
# Reported: {reported}.
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/{folder}/{name} --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \\
    --gpu-id 0 --loss {loss} --model {model} --embedding-size {size} --batch-size 90 --IPC 3 \\
    --dataset {dataset} --epochs {epochs} --view 2 {sigma}--save 1 \\
    --source-ckpt "$here/../../pretrained_source/{source}/{dataset}_{source}_512dim_Proxy_Anchor_ckpt.pth" "$@"
"""


@dataclass(frozen=True)
class Setting:
    """A transfer setting.

    Attributes:
        title: for people.
        published: its key in the published results.
        source, model, size: source network, target network and its embedding size.
    """

    title: str
    published: str
    source: str
    model: str
    size: int


@dataclass(frozen=True)
class Loss:
    """A transfer loss: its title, its row of the published results (None: no such row), and its paper."""

    title: str
    row: str | None
    paper: str


_RELAXATION = "Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021"
SETTINGS = {
    "self": Setting(
        "Self-transfer, BN-Inception 512 to BN-Inception 512",
        "self_transfer bn_inception-512 -> bn_inception-512",
        "bn_inception",
        "bn_inception",
        512,
    ),
    "dim": Setting(
        "Dimensionality reduction, BN-Inception 512 to BN-Inception 64",
        "dimensionality_reduction bn_inception-512 -> bn_inception-64",
        "bn_inception",
        "bn_inception",
        64,
    ),
    "compress": Setting(
        "Compression, ResNet-50 512 to ResNet-18 128",
        "compression resnet50-512 -> resnet18-128",
        "resnet50",
        "resnet18",
        128,
    ),
}
LOSSES = {
    "Relaxed_Contra": Loss("relaxed contrastive", "Ours", _RELAXATION),
    "Relaxed_MS": Loss("relaxed multi-similarity", None, _RELAXATION),
    "RKD": Loss("relational distillation", "RKD", "Park, Kim, Lu, Cho: Relational Knowledge Distillation, CVPR 2019"),
    "PKT": Loss(
        "probabilistic transfer",
        "PKT",
        "Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018",
    ),
    "DarkRank": Loss(
        "ranks of neighbours",
        "DarkRank",
        "Chen, Wang, Zhang: DarkRank: Accelerating Deep Metric Learning via Cross Sample Similarities Transfer,"
        " AAAI 2018",
    ),
    "Attention": Loss(
        "attention maps",
        "Attention",
        "Zagoruyko, Komodakis: Paying More Attention to Attention, ICLR 2017",
    ),
    "FitNet": Loss("feature maps", "FitNet", "Romero et al.: FitNets: Hints for Thin Deep Nets, ICLR 2015"),
    "CRD": Loss(
        "contrastive distillation",
        "CRD",
        "Tian, Krishnan, Isola: Contrastive Representation Distillation, ICLR 2020",
    ),
}
DATASETS = {"cub": ("CUB-200-2011", 90), "cars": ("Cars-196", 90), "SOP": ("Stanford Online Products", 150)}


def scripts() -> dict[str, str]:
    """Path under scripts/ → text, for every script."""
    return {
        f"{dataset.lower()}/transfer_{setting}_{loss.lower()}.sh": script(setting, dataset, loss)
        for setting in SETTINGS
        for dataset in DATASETS
        for loss in LOSSES
    }


def script(setting_name: str, dataset: str, loss: str) -> str:
    """The text of one script."""
    setting, (dataset_title, epochs) = SETTINGS[setting_name], DATASETS[dataset]
    figures = reported(setting, dataset, loss)
    ranks = (1, 10, 100) if dataset == "SOP" else (1, 2, 4)
    pairs = [f"R@{k} {value}" for k, value in zip(ranks, figures or (), strict=False)]
    return TEMPLATE.format(
        loss=loss,
        title=LOSSES[loss].title,
        paper=LOSSES[loss].paper,
        setting_title=setting.title,
        reported=", ".join(pairs) + " (best epoch on the test split)" if pairs else "no figure for this loss",
        folder=dataset.lower(),
        name=f"transfer_{setting_name}_{loss.lower()}.sh",
        dataset=dataset,
        dataset_title=dataset_title,
        sigma="--sigma 1 " if loss.startswith("Relaxed") else "",
        epochs=epochs,
        model=setting.model,
        size=setting.size,
        source=setting.source,
    )


def reported(setting: Setting, dataset: str, loss: str) -> list[float] | None:
    """The three published recalls; None if there are none."""
    rows = json.loads(PUBLISHED.read_text())["label_relaxation"][setting.published]
    figures = rows.get(LOSSES[loss].row, {})
    return next((values for key, values in figures.items() if key.startswith(f"{dataset} ")), None)


def tables() -> str:
    """Markdown tables of R@1, one per setting: reported and ours."""
    parts = []
    for name, setting in SETTINGS.items():
        parts += [
            f"### {setting.title}",
            "",
            "| loss | CUB | Cars | SOP | ours | scripts |",
            "|---|---|---|---|---|---|",
        ]
        for loss in LOSSES:
            figures = [reported(setting, dataset, loss) for dataset in DATASETS]
            cells = " | ".join("–" if values is None else f"{values[0]}" for values in figures)
            parts.append(f"| `{loss}` | {cells} | not yet run | `transfer_{name}_{loss.lower()}.sh` |")
        parts.append("")
    return "\n".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Write the scripts, or print the tables; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--table", action="store_true", help="print the tables of docs/transfer.md instead")
    if parser.parse_args(argv).table:
        print(tables())
        return 0
    write_scripts(scripts())
    return 0


def write_scripts(texts: dict[str, str]) -> None:
    """Write executable files, path under scripts/ → text."""
    for path, text in texts.items():
        file = ROOT / "scripts" / path
        file.write_text(text)
        file.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
