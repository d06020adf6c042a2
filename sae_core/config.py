"""What a dictionary is and how it is trained, as plain frozen dataclasses.

Takes numbers, checks them, and raises ValueError naming the field, the value and what is allowed. Torch-free, so that
a configuration can be read where no torch is installed; knows nothing of tensors, files or language models.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from sae_core.requirement import require

__all__ = [
    "TOPK_KINDS",
    "TRAINED_KINDS",
    "Autocast",
    "DictionaryConfig",
    "DictionaryKind",
    "InferenceMethod",
    "LossKind",
    "MlpOutput",
    "TrainingConfig",
]

DictionaryKind = Literal[
    "relu",
    "topk",
    "batchtopk",
    "abstopk",
    "jumprelu",
    "gated",
    "prolu",
    "matryoshka",
    "mlp",
    "sparse_coding",
    "inferred",
    "identity",
    "pca",
    "ica",
    "random",
    "shuffled",
]
InferenceMethod = Literal["gradient_pursuit", "omp", "matching_pursuit", "fista", "ista", "adam", "lasso_lars"]
LossKind = Literal["mse", "normalised_mse"]
Autocast = Literal["off", "bf16"]
MlpOutput = Literal["relu", "topk", "jumprelu"]

TRAINED_KINDS: frozenset[str] = frozenset(
    {"relu", "topk", "batchtopk", "abstopk", "jumprelu", "gated", "prolu", "matryoshka", "mlp", "sparse_coding"}
)
"""Kinds with weights to train; the others are fixed once built."""

TOPK_KINDS: frozenset[str] = frozenset({"topk", "batchtopk", "abstopk", "matryoshka"})
"""Kinds that keep a given number of codes; `mlp` joins them when its output is topk."""

_OPTIONAL_WIDTH_KINDS = frozenset({"identity", "pca", "ica"})


@dataclass(frozen=True, kw_only=True)
class DictionaryConfig:
    """One dictionary. Fields that a kind does not use are ignored by it.

    Trained kinds: `relu` a sparse autoencoder f = ReLU(W_e (x - b_d) + b_e) under an L1 penalty (Bricken et al. 2023);
    `topk` keeps the k largest pre-activations of each activation (Gao et al. 2024, arXiv 2406.04093); `batchtopk` the
    k * batch largest of a batch (Bussmann et al. 2024, arXiv 2412.06410); `abstopk` the k largest by absolute value,
    with their signs; `jumprelu` those above a learned threshold (Rajamanoharan et al. 2024, arXiv 2407.14435); `gated`
    separates which features are active from how much (Rajamanoharan et al. 2024, arXiv 2404.16014); `prolu` thresholds
    without shrinking (Taggart 2024); `matryoshka` is batchtopk whose prefixes must reconstruct as well (Bussmann et al.
    2025, arXiv 2503.17547); `mlp` an encoder with hidden layers before the last linear layer (O'Neill et al., arXiv
    2411.13117); `sparse_coding` optimises codes and dictionary without an encoder (same paper).

    Fixed kinds: `inferred` takes another dictionary's directions and finds codes by optimisation; `identity` the
    coordinates themselves (neurons, residual basis); `pca`, `ica` the components of a sample; `random` seeded random
    unit directions; `shuffled` another dictionary's directions with their entries shuffled.
    """

    kind: DictionaryKind
    n_features: int | None = None
    """Number of features; may be left out for `identity`, `pca` and `ica`, where it is the input width."""
    k: int = 32
    """topk, batchtopk, abstopk, matryoshka, mlp with topk output: how many features are active per activation
    (batchtopk, matryoshka: on average). inferred: the largest number of active features of a pursuit."""
    k_start: int | None = None
    """topk-like kinds: k at the start of training, from which it falls to `k`; None = k throughout."""
    k_warmup_frac: float = 0.1
    """topk-like kinds: share of training over which k falls (or rises) linearly from `k_start` to `k`."""
    l1_weight: float = 0.2
    """relu, gated, prolu, sparse_coding, mlp with relu output: weight of the mean (over the batch) of the codes' sum,
    taken relative to the activations' mean norm (so it means the same at every width); with `normalise_inputs` off, of
    the plain sum, as in O'Neill et al."""
    l0_target: float | None = None
    """Mean number of active features to end at. relu, gated, prolu, mlp with relu output: the L1 weight, which starts
    at `l1_weight`, is steered towards it during training. jumprelu (also as mlp output): the penalty is
    l0_weight * (L0 / l0_target - 1)^2 below it, l0_weight * log(L0 / l0_target)^2 above. None = no target."""
    l0_weight: float | None = None
    """jumprelu, mlp with jumprelu output: weight of the penalty on L0, or (with `l0_target`) on its distance from the
    target, in normalised units. None = 0.001 without and 1 with a target."""
    threshold_init: float = 0.3
    """jumprelu: the threshold at the start, in normalised units (activations of mean norm sqrt(d_in)). There a fresh
    encoder's pre-activations have a standard deviation of `encoder_init_norm`, so that with the defaults one feature in
    six is active at first. Lower, and much of a short training goes by until L0 has come down."""
    bandwidth: float = 0.1
    """jumprelu: width of the straight-through kernel around the threshold, in normalised units."""
    hidden: tuple[int, ...] = (256,)
    """mlp: widths of the hidden layers, input side first."""
    output: MlpOutput = "relu"
    """mlp: which pre-activations become codes, by the rule of the kind of that name."""
    prefixes: tuple[int, ...] = ()
    """matryoshka: growing prefix sizes; the first so many features must reconstruct by themselves. The last is
    n_features."""
    method: InferenceMethod = "gradient_pursuit"
    """inferred: how the codes are found."""
    n_inference_steps: int = 100
    """inferred, sparse_coding: steps of the iterative methods per activation."""
    is_warm_started: bool = False
    """inferred: start from the codes of the dictionary whose directions are used, instead of from zero."""
    encoder_init_norm: float = 0.3
    """Norm of a fresh encoder row, which starts along its unit-norm decoder direction (mlp: along its hidden image)."""
    auxk_weight: float = 1 / 32
    """topk-like kinds: weight of the loss by which dead features learn to explain the residual; 0 switches it off."""
    auxk: int | None = None
    """topk-like kinds: how many dead features may explain the residual of one activation; None = half the input
    width."""
    published_decoder_norm: bool = False
    """relu, mlp with relu output: normalise the decoder over the wrong axis (per input coordinate) during training, as
    the published GPT-2 code of O'Neill et al. does; the norms are folded into the encoder when training ends."""

    def __post_init__(self) -> None:
        require(self.kind in get_args(DictionaryKind), "kind", self.kind, f"one of {get_args(DictionaryKind)}")
        require(
            self.n_features is not None or self.kind in _OPTIONAL_WIDTH_KINDS,
            "n_features",
            self.n_features,
            f"given and at least 1 for kind {self.kind!r}",
        )
        require(self.n_features is None or self.n_features >= 1, "n_features", self.n_features, "at least 1")
        self._check_sparsity()
        if self.kind == "mlp":
            require(
                len(self.hidden) >= 1 and all(width >= 1 for width in self.hidden),
                "hidden",
                self.hidden,
                "one or more widths of at least 1",
            )
            require(self.output in get_args(MlpOutput), "output", self.output, f"one of {get_args(MlpOutput)}")
        if self.kind == "matryoshka":
            self._check_prefixes()
        require(self.method in get_args(InferenceMethod), "method", self.method, f"one of {get_args(InferenceMethod)}")
        require(self.n_inference_steps >= 1, "n_inference_steps", self.n_inference_steps, "at least 1")
        require(self.encoder_init_norm > 0, "encoder_init_norm", self.encoder_init_norm, "above 0")
        require(self.auxk_weight >= 0, "auxk_weight", self.auxk_weight, "0 or more")
        require(self.auxk is None or self.auxk >= 1, "auxk", self.auxk, "at least 1, or left out")
        require(
            not self.published_decoder_norm or self.kind == "relu" or (self.kind == "mlp" and self.output == "relu"),
            "published_decoder_norm",
            self.published_decoder_norm,
            f"false for kind {self.kind!r} (only relu, and mlp with relu output, have that variant)",
        )

    def _check_sparsity(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.k_start is None or self.k_start >= 1, "k_start", self.k_start, "at least 1, or left out")
        if self.is_topk and self.n_features is not None:
            limit = f"at most n_features = {self.n_features}; lower k"
            require(self.k <= self.n_features, "k", self.k, limit)
            require(self.k_start is None or self.k_start <= self.n_features, "k_start", self.k_start, limit)
        require(0 <= self.k_warmup_frac <= 1, "k_warmup_frac", self.k_warmup_frac, "between 0 and 1")
        require(self.l1_weight >= 0, "l1_weight", self.l1_weight, "0 or more")
        require(self.l0_target is None or self.l0_target > 0, "l0_target", self.l0_target, "above 0, or left out")
        require(self.l0_weight is None or self.l0_weight >= 0, "l0_weight", self.l0_weight, "0 or more, or left out")
        require(self.threshold_init > 0, "threshold_init", self.threshold_init, "above 0")
        require(self.bandwidth > 0, "bandwidth", self.bandwidth, "above 0")

    def _check_prefixes(self) -> None:
        sizes = self.prefixes
        is_growing = all(smaller < larger for smaller, larger in pairwise(sizes))
        require(
            bool(sizes) and sizes[0] >= 1 and is_growing and sizes[-1] == self.n_features,
            "prefixes",
            sizes,
            f"growing sizes of at least 1, the last of them n_features = {self.n_features}",
        )

    @property
    def is_trained(self) -> bool:
        """Whether the kind has weights to train."""
        return self.kind in TRAINED_KINDS

    @property
    def is_topk(self) -> bool:
        """Whether `k` says how many codes are active."""
        return self.kind in TOPK_KINDS or (self.kind == "mlp" and self.output == "topk")


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
    autocast: Autocast = "off"
    """`bf16`: the matrix products of the passes in bfloat16; parameters, Adam, losses and codes stay float32."""
    seed: int = 0
    """Initial weights and resampling."""

    def __post_init__(self) -> None:
        for field in ("n_tokens", "batch_tokens", "dead_after_tokens"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "at least 1")
        for field in ("learning_rate",):
            require(getattr(self, field) > 0, field, getattr(self, field), "above 0")
        for field in ("warmup_frac", "decay_frac", "l1_warmup_frac", "resample_until_frac"):
            require(0 <= getattr(self, field) <= 1, field, getattr(self, field), "between 0 and 1")
        for field in ("adam_beta1", "adam_beta2"):
            require(0 <= getattr(self, field) < 1, field, getattr(self, field), "at least 0 and below 1")
        require(
            self.warmup_frac + self.decay_frac <= 1,
            "warmup_frac + decay_frac",
            self.warmup_frac + self.decay_frac,
            "at most 1",
        )
        require(self.resample_every_steps >= 0, "resample_every_steps", self.resample_every_steps, "0 or more")
        require(self.gradient_clip >= 0, "gradient_clip", self.gradient_clip, "0 or more")
        require(self.loss in get_args(LossKind), "loss", self.loss, f"one of {get_args(LossKind)}")
        require(self.autocast in get_args(Autocast), "autocast", self.autocast, f"one of {get_args(Autocast)}")
