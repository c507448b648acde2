"""Write the scripts of listwise self-distillation: each criterion alone and distilled, on three data sets.

python scripts/make_lsd_scripts.py            # writes scripts/<data set>/lsd_<criterion>[_alone].sh
"""

from __future__ import annotations

import argparse
import sys

from make_transfer_scripts import write_scripts

TEMPLATE = """\
#!/usr/bin/env bash
# {title}, {dataset_title}: {what}.
# Paper: Zeng, Yang, Wang, Satoh: Improving Generalization of Metric Learning via Listwise Self-distillation, 2022.
# Reported: no figure is at hand for this script; compare {name} with {other} over seeds.
# Further flags are passed on, and win: scripts/run_seeds.sh 5 scripts/{folder}/{name} --noisy_label --noisy_ratio 0.3
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \\
    --loss {loss}{mining} --project LSD --group {group} --seed 0 \\
    --gpu 0 --bs 112 --data_sampler class_random --samples_per_class 2 --arch resnet50_frozen_normalize \\
    --dataset {dataset} --n_epochs 150 --lr 0.00001 --embed_dim 128{distillation} "$@"
"""

CRITERIA = {  # spelling → (title, miner; "" for criteria of the whole batch)
    "triplet": ("Triplet", "distance"),
    "contrastive": ("Contrastive", "distance"),
    "margin": ("Margin", "distance"),
    "quadruplet": ("Quadruplet", "distance"),
    "snr": ("Signal-to-noise ratio", "distance"),
    "npair": ("N-pair", "npair"),
    "angular": ("Angular", "npair"),
    "lifted": ("Lifted structure", "lifted"),
    "multisimilarity": ("Multi-similarity", ""),
    "histogram": ("Histogram", ""),
    "softmax": ("Normalised softmax", ""),
    "softtriplet": ("SoftTriple", ""),
    "arcface": ("ArcFace", ""),
    "proxynca": ("ProxyNCA", ""),
    "ap_loss": ("Smooth AP", ""),
    "adversarial_separation": ("Adversarial separation of features", ""),
}
DATASETS = {
    "cub": ("cub200", "CUB-200-2011", "CUB"),
    "cars": ("cars196", "Cars-196", "CARS"),
    "sop": ("online_products", "Stanford Online Products", "SOP"),
}


def scripts() -> dict[str, str]:
    """Path under scripts/ → text, for every script."""
    return {
        f"{folder}/{script_name(criterion, distilled)}": script(folder, criterion, distilled=distilled)
        for folder in DATASETS
        for criterion in CRITERIA
        for distilled in (False, True)
    }


def script_name(criterion: str, distilled: bool) -> str:
    """``lsd_triplet.sh``, and ``lsd_triplet_alone.sh`` for the baseline."""
    return f"lsd_{criterion}{'' if distilled else '_alone'}.sh"


def script(folder: str, criterion: str, *, distilled: bool) -> str:
    """The text of one script."""
    (title, miner), (dataset, dataset_title, short) = CRITERIA[criterion], DATASETS[folder]
    loss = criterion + "_lsd" * distilled
    return TEMPLATE.format(
        title=title,
        dataset_title=dataset_title,
        what="with listwise self-distillation" if distilled else "alone, the baseline of self-distillation",
        name=script_name(criterion, distilled),
        other=script_name(criterion, not distilled),
        folder=folder,
        loss=loss,
        mining=f" --batch_mining {miner}" if miner else "",
        group=f"{short}_{loss}",
        dataset=dataset,
        distillation=" --kd_alpha 50.0 --kd_tau 1.0" if distilled else "",
    )


def main(argv: list[str] | None = None) -> int:
    """Write the scripts; exit code 0."""
    argparse.ArgumentParser(description=__doc__, allow_abbrev=False).parse_args(argv)
    write_scripts(scripts())
    return 0


if __name__ == "__main__":
    sys.exit(main())
