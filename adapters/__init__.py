"""Adapting photo networks to sketches: `adapt`, distillation, canvas selection, cost."""
