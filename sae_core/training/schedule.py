"""Schedules of learning rate and L1 weight over the share of training done."""

from __future__ import annotations

from sae_core.config import TrainingConfig

__all__ = ["l1_factor", "learning_rate_factor"]


def learning_rate_factor(progress: float, config: TrainingConfig) -> float:
    """Linear from 0 over `warmup_frac`, 1, linear to 0 over the last `decay_frac`."""
    rising = progress / config.warmup_frac if config.warmup_frac > 0 else 1.0
    falling = (1.0 - progress) / config.decay_frac if config.decay_frac > 0 else 1.0
    return max(0.0, min(1.0, rising, falling))


def l1_factor(progress: float, config: TrainingConfig) -> float:
    """Linear from 0 over `l1_warmup_frac`, then 1."""
    return min(1.0, progress / config.l1_warmup_frac) if config.l1_warmup_frac > 0 else 1.0
