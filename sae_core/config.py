"""Settings of a dictionary and of its training, as torch-free frozen dataclasses.

Each field states its default, bounds and kinds once, for the run config as well. A value out of bounds raises
ValueError.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal, get_args

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
    "kinds_of",
    "uses",
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
"""Kinds that keep a given number of codes; so does `mlp` when its output is topk."""

_ALL_KINDS = frozenset(get_args(DictionaryKind))
_PENALISED_KINDS = frozenset({"relu", "gated", "prolu"})
_ENCODER_KINDS = TRAINED_KINDS - {"sparse_coding"}
_OPTIONAL_WIDTH_KINDS = frozenset({"identity", "pca", "ica"})
_BOUNDS = {
    "gt": (operator.gt, "above"),
    "ge": (operator.ge, "at least"),
    "lt": (operator.lt, "below"),
    "le": (operator.le, "at most"),
}


def _of(kinds: Iterable[str], **bounds: int) -> dict[str, Any]:
    return {"kinds": frozenset(kinds), "bounds": bounds}


@dataclass(frozen=True, kw_only=True)
class DictionaryConfig:
    """One dictionary. A kind ignores the fields it does not use; `mlp` uses those of the kind named by its `output`.

    Trained kinds: `relu` (Bricken et al. 2023), `topk` (Gao et al. 2024), `batchtopk` (Bussmann et al. 2024), `abstopk`
    (Zhu et al. 2025), `jumprelu` and `gated` (Rajamanoharan et al. 2024), `prolu` (Taggart 2024), `matryoshka`
    (Bussmann et al. 2025), `mlp` and `sparse_coding` (O'Neill et al. 2024). Fixed kinds: `inferred`, optimised codes
    over another dictionary's directions; `identity`, the coordinates; `pca`, `ica`; `random`, unit directions;
    `shuffled`, another dictionary's shuffled directions.
    """

    kind: DictionaryKind
    n_features: int | None = field(default=None, metadata=_of(_ALL_KINDS, ge=1))
    """Number of features; optional for `identity`, `pca` and `ica`, where it is the input width."""
    k: int = field(default=32, metadata=_of(TOPK_KINDS | {"inferred"}, ge=1))
    """Active features per activation (batchtopk, matryoshka: on average; inferred by a pursuit: at most)."""
    k_start: int | None = field(default=None, metadata=_of(TOPK_KINDS, ge=1))
    """k at the start of training; left out, it is `k` throughout."""
    k_warmup_frac: float = field(default=0.1, metadata=_of(TOPK_KINDS, ge=0, le=1))
    """Share of training over which k moves linearly from `k_start` to `k`."""
    l1_weight: float = field(default=0.2, metadata=_of(_PENALISED_KINDS | {"sparse_coding", "inferred"}, ge=0))
    """Weight of the batch mean of the codes' sum, relative to the activations' mean norm, so that it means the same at
    every width; with `normalise_inputs` off, of the plain sum. inferred (fista, ista, adam, lasso_lars): weight in the
    activations' own units; left out, the weight the source dictionary was trained with."""
    l0_target: float | None = field(default=None, metadata=_of(_PENALISED_KINDS | {"jumprelu"}, gt=0))
    """Mean number of active features at the end of training. relu, gated, prolu: training steers the L1 weight towards
    it, from `l1_weight`. jumprelu: the penalty is l0_weight * (L0 / l0_target - 1)^2 below it, l0_weight * log(L0 /
    l0_target)^2 above. Left out, there is no target."""
    l0_weight: float | None = field(default=None, metadata=_of({"jumprelu"}, ge=0))
    """Weight of the penalty on L0, or with `l0_target` on its distance from the target, in normalised units. Left out,
    0.001, with a target 1."""
    threshold_init: float = field(default=0.3, metadata=_of({"jumprelu"}, gt=0))
    """Threshold at the start, in normalised units (activations of mean norm sqrt(d_in)). Fresh pre-activations have
    standard deviation `encoder_init_norm`: with the defaults one feature in six is active at first. A lower value
    delays the fall of L0."""
    bandwidth: float = field(default=0.1, metadata=_of({"jumprelu"}, gt=0))
    """Width of the straight-through kernel around the threshold, in normalised units."""
    hidden: tuple[int, ...] = field(default=(), metadata=_of({"mlp"}, ge=1))
    """Widths of the hidden layers, input side first; left out, one layer of n_features."""
    centre_hidden: bool = field(default=False, metadata=_of({"mlp"}))
    """Subtract from the hidden vectors their running mean, so that the last layer's steps do not silence features
    together (relu and jumprelu outputs lose most of theirs without)."""
    output: MlpOutput = field(default="relu", metadata=_of({"mlp"}))
    """The kind whose rule turns pre-activations into codes."""
    prefixes: tuple[int, ...] = field(default=(), metadata=_of({"matryoshka"}, ge=1))
    """Growing prefix sizes, the last n_features; each prefix of features must reconstruct by itself. Left out,
    n_features / 16, 8, 4, 2 and 1."""
    method: InferenceMethod = field(default="gradient_pursuit", metadata=_of({"inferred"}))
    """How codes are found."""
    n_inference_steps: int = field(default=100, metadata=_of({"inferred", "sparse_coding"}, ge=1))
    """Steps of the iterative methods per activation."""
    is_warm_started: bool = field(default=False, metadata=_of({"inferred"}))
    """Start from the source dictionary's codes instead of from zero (fista, ista, adam)."""
    encoder_init_norm: float = field(default=0.3, metadata=_of(_ENCODER_KINDS, gt=0))
    """Norm of a fresh encoder row, which starts along its unit-norm decoder direction (mlp: along its hidden image)."""
    start_density: float | None = field(default=None, metadata=_of(_PENALISED_KINDS | {"jumprelu"}, gt=0, lt=1))
    """Share of activations on which every fresh and every revived feature fires: biases are set by the sample's
    quantile (Anthropic, "Dictionary Learning Optimization Techniques", January 2025). Left out, relu, gated, prolu and
    mlp with relu output take `l0_target` / n_features; without a target, and in jumprelu, biases start at 0, and
    features fire on half of the activations (jumprelu: a sixth)."""
    auxk_weight: float = field(default=1 / 32, metadata=_of(TOPK_KINDS, ge=0))
    """Weight of the loss that trains dead features on the residual; 0 switches it off."""
    auxk: int | None = field(default=None, metadata=_of(TOPK_KINDS, ge=1))
    """Dead features used per activation; left out, half the input width."""
    is_tied: bool = field(default=False, metadata=_of({"relu"}))
    """The encoder's rows are the decoder's directions (Cunningham et al. 2023, equation 2); encoder_init_norm is then
    without effect."""
    published_decoder_norm: bool = field(default=False, metadata=_of({"relu"}))
    """Normalise the decoder over the wrong axis (per input coordinate) during training, as the published GPT-2 code of
    O'Neill et al. does; the end of training folds the norms into the encoder."""

    def __post_init__(self) -> None:
        require(self.kind in _ALL_KINDS, "kind", self.kind, f"one of {get_args(DictionaryKind)}")
        require(
            self.n_features is not None or self.kind in _OPTIONAL_WIDTH_KINDS,
            "n_features",
            self.n_features,
            f"given and at least 1 for kind {self.kind!r}",
        )
        _require_bounds(self)
        self._fill_in()
        if self.is_topk and self.n_features is not None:
            limit = f"at most n_features = {self.n_features}; lower k"
            require(self.k <= self.n_features, "k", self.k, limit)
            require(self.k_start is None or self.k_start <= self.n_features, "k_start", self.k_start, limit)
        require(self.output in get_args(MlpOutput), "output", self.output, f"one of {get_args(MlpOutput)}")
        if self.kind == "matryoshka":
            sizes, is_growing = self.prefixes, all(smaller < larger for smaller, larger in pairwise(self.prefixes))
            wanted = f"growing sizes, the last of them n_features = {self.n_features}"
            require(is_growing and sizes[-1] == self.n_features, "prefixes", sizes, wanted)
        require(self.method in get_args(InferenceMethod), "method", self.method, f"one of {get_args(InferenceMethod)}")
        require(not self.is_tied or self.kind == "relu", "is_tied", self.is_tied, f"false for kind {self.kind!r}")
        require(
            not (self.is_tied and self.published_decoder_norm),
            "is_tied",
            self.is_tied,
            "false with published_decoder_norm, whose encoder takes the decoder's norms over",
        )
        require(
            not self.published_decoder_norm or uses(self.kind, "published_decoder_norm", output=self.output),
            "published_decoder_norm",
            self.published_decoder_norm,
            f"false for kind {self.kind!r} (only relu, and mlp with relu output, have that variant)",
        )

    def _fill_in(self) -> None:
        if self.n_features is None:
            return
        if not self.hidden:
            object.__setattr__(self, "hidden", (self.n_features,))
        rule = self.output if self.kind == "mlp" else self.kind
        if self.start_density is None and self.l0_target is not None and rule in _PENALISED_KINDS:
            object.__setattr__(self, "start_density", min(self.l0_target / self.n_features, 0.5))
        if self.kind == "matryoshka" and not self.prefixes:
            sizes = tuple(max(1, self.n_features // share) for share in (16, 8, 4, 2, 1))
            object.__setattr__(self, "prefixes", sizes)

    @property
    def is_trained(self) -> bool:
        return self.kind in TRAINED_KINDS

    @property
    def is_topk(self) -> bool:
        return self.kind in TOPK_KINDS or (self.kind == "mlp" and self.output == "topk")


def kinds_of(name: str) -> frozenset[str]:
    """The kinds that use a field of DictionaryConfig or TrainingConfig; for `mlp` see `uses`."""
    stated = {each.name: each.metadata for each in (*fields(DictionaryConfig), *fields(TrainingConfig))}
    return stated[name].get("kinds", _ALL_KINDS)


def uses(kind: str, name: str, *, output: str | None = None) -> bool:
    """Whether a kind uses a field; `output` is that of an `mlp`, `relu` where None."""
    kinds = kinds_of(name)
    return kind in kinds or (kind == "mlp" and (output or "relu") in kinds)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Training of one dictionary. Fractions are shares of `n_tokens`; a token is one activation vector."""

    n_tokens: int = field(default=2_000_000, metadata=_of(TRAINED_KINDS, ge=1))
    """Activations to train on; all schedules span this number."""
    batch_tokens: int = field(default=4096, metadata=_of(TRAINED_KINDS, ge=1))
    """Activations per step; dictionaries trained on one stream share it."""
    learning_rate: float = field(default=2e-3, metadata=_of(TRAINED_KINDS, gt=0))
    """Adam's peak learning rate."""
    warmup_frac: float = field(default=0.02, metadata=_of(TRAINED_KINDS, ge=0, le=1))
    """Share over which the learning rate rises linearly from 0."""
    decay_frac: float = field(default=0.2, metadata=_of(TRAINED_KINDS, ge=0, le=1))
    """Share at the end over which the learning rate falls linearly to 0."""
    l1_warmup_frac: float = field(default=0.1, metadata=_of(TRAINED_KINDS, ge=0, le=1))
    """Share over which the L1 weight rises linearly from 0."""
    resample_every_steps: int = field(default=100, metadata=_of(TRAINED_KINDS, ge=0))
    """Steps between two resamplings of dead features; 0 switches resampling off."""
    resample_until_frac: float = field(default=0.7, metadata=_of(TRAINED_KINDS, ge=0, le=1))
    """Share after which resampling stops, so that revived features settle."""
    dead_after_tokens: int = field(default=200_000, metadata=_of(TRAINED_KINDS, ge=1))
    """Activations without firing after which a feature is dead."""
    gradient_clip: float = field(default=1.0, metadata=_of(TRAINED_KINDS, ge=0))
    """Largest norm of the gradient over all parameters (normalised units); 0 switches clipping off."""
    adam_beta1: float = field(default=0.9, metadata=_of(TRAINED_KINDS, ge=0, lt=1))
    """Adam's decay of the mean gradient."""
    adam_beta2: float = field(default=0.999, metadata=_of(TRAINED_KINDS, ge=0, lt=1))
    """Adam's decay of the mean squared gradient."""
    loss: LossKind = field(default="mse", metadata=_of(TRAINED_KINDS))
    """`mse`: squared error in normalised units, mean over batch and coordinates; `normalised_mse`: squared error over
    that of the batch mean (O'Neill et al.)."""
    normalise_inputs: bool = field(default=True, metadata=_of(TRAINED_KINDS))
    """Scale activations to mean norm sqrt(d_in), fitted on the first sample; off, no scaling."""
    autocast: Autocast = field(default="off", metadata=_of(TRAINED_KINDS))
    """`bf16`: matrix products in bfloat16; parameters, Adam, losses and codes stay float32."""
    seed: int = 0
    """Seed of initial weights and resampling."""

    def __post_init__(self) -> None:
        _require_bounds(self)
        require(
            self.warmup_frac + self.decay_frac <= 1,
            "warmup_frac + decay_frac",
            self.warmup_frac + self.decay_frac,
            "at most 1",
        )
        require(self.loss in get_args(LossKind), "loss", self.loss, f"one of {get_args(LossKind)}")
        require(self.autocast in get_args(Autocast), "autocast", self.autocast, f"one of {get_args(Autocast)}")


def _require_bounds(config: DictionaryConfig | TrainingConfig) -> None:
    for each in fields(config):
        value = getattr(config, each.name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        for name, bound in each.metadata.get("bounds", {}).items():
            holds, words = _BOUNDS[name]
            require(all(holds(number, bound) for number in numbers), each.name, value, f"{words} {bound}")
