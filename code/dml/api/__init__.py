"""What ``import dml`` gives (see docs/library.md): networks to embed with, losses to train with, whole trainings."""
