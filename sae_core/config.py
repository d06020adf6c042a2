"""What a dictionary is and how it is trained, as plain frozen dataclasses.

Takes numbers, checks them, and raises ValueError naming the field, the value and what is allowed. Torch-free, so that
a configuration can be read where no torch is installed; knows nothing of tensors, files or language models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["TRAINED_KINDS", "DictionaryConfig", "DictionaryKind", "LossKind", "TrainingConfig"]

DictionaryKind = Literal["relu", "topk", "mlp", "identity", "random"]
LossKind = Literal["mse", "normalised_mse"]

TRAINED_KINDS: frozenset[str] = frozenset({"relu", "topk", "mlp"})
"""Kinds with weights to train; the others are fixed once built."""


def _require(condition: bool, field: str, value: object, wanted: str) -> None:
    if not condition:
        raise ValueError(f"{field} = {value!r}: must be {wanted}")


@dataclass(frozen=True, kw_only=True)
class DictionaryConfig:
    """One dictionary. Fields that a kind does not use are ignored by it.

    Kinds: `relu` a sparse autoencoder f = ReLU(W_e (x - b_d) + b_e) under an L1 penalty (Bricken et al. 2023);
    `topk` keeps the k largest pre-activations (Gao et al. 2024, arXiv 2406.04093); `mlp` an encoder with hidden
    layers before the last linear layer, ReLU and L1, over the same linear decoder (O'Neill et al., arXiv 2411.13117);
    `identity` the coordinates themselves (neurons, residual basis); `random` seeded random unit directions.
    """

    kind: DictionaryKind
    n_features: int | None = None
    """Number of features; may be left out for `identity`, where it is the input width."""
    k: int = 32
    """topk: how many features may be active per activation."""
    l1_weight: float = 0.2
    """relu, mlp: weight of the mean (over the batch) of the codes' sum, taken relative to the activations' mean norm
    (so it means the same at every width); with `normalise_inputs` off, of the plain sum, as in O'Neill et al."""
    hidden: tuple[int, ...] = (256,)
    """mlp: widths of the hidden layers, input side first."""
    encoder_init_norm: float = 0.3
    """Norm of a fresh encoder row, which starts along its unit-norm decoder direction (mlp: along its hidden image)."""
    auxk_weight: float = 1 / 32
    """topk: weight of the loss by which dead features learn to explain the residual; 0 switches it off."""
    auxk: int | None = None
    """topk: how many dead features may explain the residual of one activation; None = half the input width."""
    published_decoder_norm: bool = False
    """relu, mlp: normalise the decoder over the wrong axis (per input coordinate) during training, as the published
    GPT-2 code of O'Neill et al. does; the norms are folded into the encoder when training ends."""

    def __post_init__(self) -> None:
        _require(self.kind in get_args(DictionaryKind), "kind", self.kind, f"one of {get_args(DictionaryKind)}")
        _require(
            self.n_features is None if self.kind == "identity" and self.n_features is None else bool(self.n_features),
            "n_features",
            self.n_features,
            f"given and at least 1 for kind {self.kind!r}",
        )
        _require(self.n_features is None or self.n_features >= 1, "n_features", self.n_features, "at least 1")
        _require(self.k >= 1, "k", self.k, "at least 1")
        if self.kind == "topk" and self.n_features is not None:
            _require(self.k <= self.n_features, "k", self.k, f"at most n_features = {self.n_features}")
        _require(self.l1_weight >= 0, "l1_weight", self.l1_weight, "0 or more")
        if self.kind == "mlp":
            _require(
                len(self.hidden) >= 1 and all(width >= 1 for width in self.hidden),
                "hidden",
                self.hidden,
                "one or more widths of at least 1",
            )
        _require(self.encoder_init_norm > 0, "encoder_init_norm", self.encoder_init_norm, "above 0")
        _require(self.auxk_weight >= 0, "auxk_weight", self.auxk_weight, "0 or more")
        _require(self.auxk is None or self.auxk >= 1, "auxk", self.auxk, "at least 1, or left out")
        _require(
            not self.published_decoder_norm or self.kind in {"relu", "mlp"},
            "published_decoder_norm",
            self.published_decoder_norm,
            f"false for kind {self.kind!r} (only relu and mlp have that variant)",
        )

    @property
    def is_trained(self) -> bool:
        """Whether the kind has weights to train."""
        return self.kind in TRAINED_KINDS


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How one dictionary is trained. Fractions are shares of `n_tokens`; a token is one activation vector."""

    n_tokens: int = 2_000_000
    """Activations to train on; schedules are laid out over this number."""
    batch_tokens: int = 4096
    """Activations per step; all dictionaries trained on one stream share it."""
    learning_rate: float = 2e-3
    """Adam's peak learning rate."""
    warmup_frac: float = 0.02
    """Share over which the learning rate rises linearly from 0."""
    decay_frac: float = 0.2
    """Share at the end over which the learning rate falls linearly to 0."""
    l1_warmup_frac: float = 0.1
    """Share over which the L1 weight rises linearly from 0."""
    resample_every_steps: int = 100
    """Steps between two resamplings of dead features; 0 switches resampling off."""
    resample_until_frac: float = 0.7
    """No resampling after this share, so that revived features can settle."""
    dead_after_tokens: int = 200_000
    """A feature silent for so many activations is dead."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient over all parameters (in normalised units); 0 switches clipping off."""
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    loss: LossKind = "mse"
    """`mse`: mean over batch and coordinates of the squared error in normalised units; `normalised_mse`: squared error
    divided by that of predicting the batch mean (O'Neill et al.)."""
    normalise_inputs: bool = True
    """Work in units in which activations have mean norm sqrt(d_in), fitted on the first sample; False: unit 1."""
    seed: int = 0
    """Initial weights and resampling."""

    def __post_init__(self) -> None:
        for field in ("n_tokens", "batch_tokens", "dead_after_tokens"):
            _require(getattr(self, field) >= 1, field, getattr(self, field), "at least 1")
        for field in ("learning_rate",):
            _require(getattr(self, field) > 0, field, getattr(self, field), "above 0")
        for field in ("warmup_frac", "decay_frac", "l1_warmup_frac", "resample_until_frac"):
            _require(0 <= getattr(self, field) <= 1, field, getattr(self, field), "between 0 and 1")
        for field in ("adam_beta1", "adam_beta2"):
            _require(0 <= getattr(self, field) < 1, field, getattr(self, field), "at least 0 and below 1")
        _require(
            self.warmup_frac + self.decay_frac <= 1,
            "warmup_frac + decay_frac",
            self.warmup_frac + self.decay_frac,
            "at most 1",
        )
        _require(self.resample_every_steps >= 0, "resample_every_steps", self.resample_every_steps, "0 or more")
        _require(self.gradient_clip >= 0, "gradient_clip", self.gradient_clip, "0 or more")
        _require(self.loss in get_args(LossKind), "loss", self.loss, f"one of {get_args(LossKind)}")
