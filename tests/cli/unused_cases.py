"""Command lines with a flag that the others leave without effect, and others beside which it has one."""

from __future__ import annotations

START = __file__  # a file in place of a checkpoint, into which no case looks

# Program, flag, words beside which it has no effect, what is said after the flag, words beside which it has one.
CASES = [
    ("train", "--strict", "--dataset cub", "has no effect with --dataset cub, but with folder", "--dataset folder"),
    ("train", "--split all", "--dataset cub", "has no effect with --dataset cub, but with folder", "--dataset folder"),
    ("train", "--IPC 4", "--sampler random", "has no effect with --sampler random", "--sampler balanced"),
    ("target", "--IPC 4", "--sampler full_random", "has no effect with --sampler full_random", ""),
    ("train", "--IPC 4", "--loss ProxyNCA", "4: the number has no effect with --sampler power_balanced, as", ""),
    ("train", "--p 1", "", "has no effect with --sampler random, but with power_balanced", "--sampler power_balanced"),
    ("train", "--p 1", "--IPC 4", "has no effect with --sampler balanced, but", "--loss ProxyNCA --IPC 4"),
    ("train", "--crop-scale 1", "--augment 0", "has no effect with --augment 0", ""),
    ("train", "--crop-scale 1", "--augmentation red", "has no effect with --augmentation red", "--augmentation adv"),
    ("classify", "--crop-scale 1", "", "is used by crops of random scale only, which --crop-p", "--dataset imagenet"),
    ("train", "--flip 0", "--augment 0", "has no effect with --augment 0", ""),
    ("train", "--augmentation adv", "--augment 0", "has no effect with --augment 0", ""),
    ("classify", "--augmentation adv", "", "is used by crops of random scale only, which --c", "--dataset imagenet"),
    ("train", "--pretrained 1", f"--init-from {START}", "has no effect beside --init-from", ""),
    ("main", "--pretrained 1", f"--resume {START}", "has no effect beside --resume", ""),
    ("train", "--pretrained 1", "--not_pretrained", "has no effect beside --not-pretrained", ""),
    ("train", "--norm-convention n_eps", "--l2-norm 0", "has no effect with --l2-norm 0", "--l2-norm 1"),
    ("main", "--bn-freeze 1", "--model googlenet", "has no effect with --model inception_v1, which has no batch", ""),
    ("train", "--bn-affine 1", "--model inception_v1", "has no effect with --model inception_v1, which has no", ""),
    ("train", "--bn-affine 1", "--bn-freeze 0", "has no effect with --bn-freeze 0", "--bn-freeze 1"),
    ("train", "--bn-momentum 1", "--model inception_v1", "has no effect with --model inception_v1", "--bn-freeze 0"),
    ("train", "--bn-momentum 1", "", "has no effect with --bn-freeze 1", "--bn-freeze 0"),
    ("train", "--backbone-init torch", "", "has no effect with weights to start from", "--pretrained 0"),
    ("train", "--head-init torch", "--head mlp", "has no effect with --head mlp, but with linear", ""),
    ("main", "--head-init torch", f"--resume {START}", "has no effect with --resume, which", f"--init-from {START}"),
    ("train", "--proxy-lr-scale 2", "--loss MS", "is not used by --loss MS, which has no proxies", "--loss ProxyNCA"),
    ("target", "--proxy-lr-scale 2", "--loss RKD", "is not used by --loss RKD, which has no", "--loss CRD"),
    (
        *("train", "--proxy-lr-scale 2", "--loss margin --loss_margin_beta_constant"),
        *("has no effect with --loss-margin-beta-constant 1", "--loss margin"),
    ),
    ("train", "--proxy-lr-scale 2", "--scheduler cyclic", "has no effect with --scheduler cyclic", ""),
    ("target", "--init-type center", "", "is not used by train_target.py", None),
    ("train", "--init-type normal", "--loss margin", "is not used by --loss margin, which has no proxies", ""),
    ("train", "--adam-eps 1", "--optimizer sgd", "has no effect with --optimizer sgd, but with", "--optimizer adam"),
    ("target", "--adam-eps 1", "", "has no effect with --optimizer adamw, but with adam", "--optimizer adam"),
    ("train", "--sgd-momentum 0.5", "", "has no effect with --optimizer adamw, but with sgd", "--optimizer sgd"),
    (
        *("train", "--sgd-momentum 0.5", "--optimizer sgd --scheduler cyclic"),
        *("has no effect with --scheduler cyclic", "--optimizer sgd"),
    ),
    ("train", "--nesterov 0", "--optimizer adamp", "has no effect with --optimizer adamp, but", "--optimizer sgd"),
    ("target", "--head-lr 1", "", "is not used by train_target.py", None),
    ("train", "--fc_lr 1", "--scheduler cyclic", "has no effect with --scheduler cyclic", ""),
    ("train", "--lr-decay-step 5", "--scheduler exp", "has no effect with --scheduler exp, but with step", ""),
    ("train", "--gamma 1", "--scheduler cosine", "has no effect with --scheduler cosine, but with step, mult", ""),
    ("train", "--tau 9", "", "has no effect with --scheduler step, but with multistep", "--scheduler multistep"),
    ("train", "--gamma 1", "--loss triplet", "has no effect: none of the --milestones (1000) li", "--loss MS"),
    (
        *("train", "--tau 60 70", "--scheduler multistep"),
        *("has no effect: none of the --milestones (60 70)", "--scheduler multistep --epochs 61"),
    ),
    ("train", "--layer-decay 0.5", "--freeze backbone", "has no effect with --freeze backbone", "--freeze 2"),
    ("train", "--layer-decay 0.5", "--scheduler cyclic", "has no effect with --scheduler cyclic", ""),
    (
        *("train", "--drop-path 0.1", "--model convnext_tiny --freeze backbone"),
        *("has no effect with --freeze backbone", "--model convnext_tiny"),
    ),
    ("main", "--grad-checkpointing", "--freeze backbone", "has no effect with --freeze backbone", ""),
    ("target", "--cache-features", "--freeze backbone", "is used by train.py alone", None),
    ("train", "--cache-features", "", "is used by runs whose backbone does not change", "--freeze backbone"),
    ("train", "--cache-views 2", "", "has no effect without --cache-features", "--freeze backbone --cache-features"),
    (
        *("train", "--accumulate 2", "--freeze backbone --cache-features", "has no effect with --cache-features 1"),
        "--freeze backbone",
    ),
    ("train", "--feature-cache x", "", "has no effect without --cache-features", "--freeze backbone --cache-features"),
    ("train", "--baselines 1", "--fold 1/2 --eval-test-every 0", "has no effect with --eval-test-every 0", ""),
    ("train", "--train-metrics 1", "--no_train_metrics", "has no effect beside --no-train-metrics", ""),
    ("train", "--select-metric nmi", "--storage_metrics f1", "has no effect beside --storage-metrics", ""),
    ("main", "--keep-copies 1", "", "has no effect with --dataset cub, but with folder", "--dataset folder"),
    ("evaluate", "--keep-copies 1", "--dataset cub", "has no effect with --dataset cub", None),
    ("train", "--remark x", "--run-name y", "has no effect beside --run-name", ""),
    ("target", "--as-source", "", "is not used by train_target.py", None),
    ("train", "--wandb-pictures 1", "", "has no effect with --dataset cub, but with folder", "--dataset folder"),
    (
        *("train", "--wandb-pictures 1", "--dataset folder --wandb disabled"),
        *("has no effect with --wandb disabled", "--dataset folder"),
    ),
    (
        *("train", "--wandb-pictures 1", "--dataset folder --pictures 0"),
        *("has no effect with --pictures 0", "--dataset folder --pictures 0 --visualize"),
    ),
    ("train", "--project x", "--wandb disabled", "has no effect with --wandb disabled", ""),
    ("train", "--group x", "--wandb disabled", "has no effect with --wandb disabled", "--savename group_plus_seed"),
    ("train", "--log_online", "--wandb disabled", "has no effect with --wandb disabled, but with auto", ""),
    ("train", "--eval_metric MLRC", "--select-metric nmi", "has no effect with --select-metric nmi, but with map", ""),
    ("train", "--memory 0", "--loss proxy_isa", "0 has no effect with --loss proxy_isa, which always has a", ""),
    ("train", "--kd_alpha 3", "--loss Triplet", "is used by self-distillation only: --l", "--loss Triplet_lsd"),
    *(
        ("train", flag, words, said, "--loss Triplet_lsd")
        for flag in ("--kd_tau 3", "--kd_beta 3")
        for words, said in (
            ("", "is used by self-distillation only: --loss Proxy_Anchor_lsd"),
            ("--loss MS_lsd --kd_alpha 0", "has no effect with --kd-alpha 0"),
        )
    ),
    *(
        ("train", flag, "", "is used by the moving-average teacher only: add --ema_teacher", "--ema-teacher")
        for flag in ("--ema-momentum 0.9", "--ema-weight 1", "--ema-tau 1")
    ),
    *(
        ("train", flag, "", "is used by the introspective metric only: add --introspective", "--introspective")
        for flag in ("--introspective-gamma 1", "--introspective-tau 1", "--uncertainty-norm")
    ),
    *(
        ("classify", flag, "", "is used by the introspective metric only: add --introspective", "--introspective")
        for flag in ("--uncertainty-size 9", "--introspective-tau 1")
    ),
    *(
        ("classify", flag, "", "is not used by --mix none, but by mixup, cutmix", "--mix mixup")
        for flag in ("--mix-alpha 0.5", "--mix-probability 0.5")
    ),
    ("classify", "--crop-padding 2", "--augment 0", "has no effect with --augment 0", ""),
    ("classify", "--alpha 84", "--net_type resnet --depth 56", "has no effect with --net-type resnet", "--depth 110"),
    (
        *("classify", "--no-bottleneck", "--net_type resnet --depth 18 --dataset folder"),
        *("has no effect with --net-type resnet outside CIFAR", "--net_type resnet --depth 56"),
    ),
    *(
        ("train", flag, "", "is used by label noise only: add --noisy_label", f"--noisy_label {more}")
        for flag, more in (("--noisy_ratio 0.2", ""), ("--noise_kind pair", "--noisy_ratio 0.2"))
    ),
    *(
        ("train", flag, "", "is used by samplers of features only: --sampler greedy_coreset", f"--sampler {sampler}")
        for flag, sampler in (
            *(("--data_batchmatch_bigbs 600", "d2_coreset"), ("--data_batchmatch_ncomps 2", "fid_batchmatch")),
            *(("--data_d2_coreset_lambda 2", "d2_coreset"), ("--data_gc_coreset_lim 1", "greedy_coreset")),
            *(("--data_gc_softened", "greedy_coreset"), ("--data_sampler_lowproj_dim 3", "d2_coreset")),
            *(("--data_sim_measure cosine", "d2_coreset"), ("--data_idx_full_prec", "d2_coreset")),
            *(("--data_storage_no_update", "d2_coreset"), ("--data_mb_mom 0.5", "d2_coreset --data_idx_full_prec")),
            ("--data_mb_lr 0.5", "d2_coreset --data_idx_full_prec --data_mb_mom 0.5"),
        )
    ),
    *(
        ("train", flag, f"--sampler {wrong}", f"is not used by --sampler {wrong}, but by {right}", f"--sampler {right}")
        for flag, wrong, right in (
            ("--data_batchmatch_ncomps 2", "d2_coreset", "fid_batchmatch"),
            ("--data_d2_coreset_lambda 2", "greedy_coreset", "d2_coreset"),
            ("--data_gc_coreset_lim 1", "d2_coreset", "greedy_coreset"),
            ("--data_gc_softened", "fid_batchmatch", "greedy_coreset"),
        )
    ),
    (
        *("train", "--data_storage_no_update", "--sampler d2_coreset --data_idx_full_prec"),
        *("has no effect with --data-idx-full-prec", "--sampler d2_coreset --data_idx_full_prec --data_mb_mom 0.5"),
    ),
    ("target", "--source-norm 0", "--loss FitNet", "has no effect with --loss FitNet, which compares maps", ""),
    *(
        ("main", flag, "--method byol", "is not used by --method byol, but by stml", "")
        for flag in ("--IPC 3", "--bg-embedding-size 9", "--teacher_init student", "--teacher_norm 1")
    ),
    (
        *("train", "--loss_margin_nu 1", "--loss margin --loss_margin_beta_constant"),
        *("has no effect with --loss-margin-beta-constant 1", "--loss margin"),
    ),
    (
        *("train", "--loss_margin_beta_lr 1", "--loss margin --loss_margin_beta_constant"),
        *("has no effect with --loss-margin-beta-constant 1", "--loss margin"),
    ),
    *(
        (
            *("train", f"--{flag} 1", f"--loss {loss} --scheduler cyclic"),
            *("has no effect with --scheduler cyclic", f"--loss {loss}"),
        )
        for flag, loss in (
            *(("loss_margin_beta_lr", "margin"), ("loss_softmax_lr", "softmax"), ("loss_arcface_lr", "arcface")),
            *(("loss_softtriplet_lrmulti", "softtriplet"), ("loss_proxynca_lrmulti", "proxynca")),
        )
    ),
    (
        *("train", "--loss_softtriplet_reg_weight 1", "--loss softtriplet --loss_softtriplet_n_centroids 1"),
        *("has no effect with --loss-softtriplet-n-centroids 1", "--loss softtriplet"),
    ),
    (
        *("train", "--loss_snr_reg_lambda 1", "--loss snr --batch_mining distance"),
        *("has no effect with --batch_mining distance, with which", "--loss snr --batch_mining random"),
    ),
    ("evaluate", "--strict", "--dataset cub", "has no effect with --dataset cub, but with folder", None),
    ("evaluate", "--seed 3", "--dataset cub", "has no effect without --metrics nmi", "--dataset cub --metrics f1"),
    ("evaluate", "--seed 3", "--dataset cub --metrics recall", "has no effect without", "--dataset cub --tsne t.html"),
    ("main", "--teacher_norm 0", "", "0 has no effect, as published: the teacher's emb", None),
    ("main", "--teacher_norm 1", "--method moco", "is not used by --method moco, but by stml", ""),
    ("evaluate", "--bn-freeze 0", "--dataset cub", "0 has no effect: evaluation always", None),
    *(
        ("train", f"--miner_{name}_upper_cutoff 1", f"--loss triplet --batch_mining {name}", "has no effect, as", None)
        for name in ("distance", "rho_distance")
    ),
]
