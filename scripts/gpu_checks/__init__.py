"""What scripts/gpu_check.sh packs and runs."""
