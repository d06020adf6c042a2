"""Linear dictionaries as other tools compute them, and the same in our convention of unit directions.

Decoder norms are folded into the encoder where that is exact; else they become a scale of the codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from sae_core.architectures.matching_pursuit import MatchingPursuitDictionary
from sae_core.architectures.normalised import Normalisation, NormalisedDictionary
from sae_core.architectures.ruled import Rule, RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import FAMILIES
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.randomness import generator

__all__ = ["CoderRule", "ForeignCoder", "Pursuit", "to_dictionary"]

CoderRule = Literal[
    "relu", "topk", "signed_topk", "abstopk", "groupmax", "jumprelu", "gated", "batchtopk", "matryoshka", "pursuit"
]

SMALLEST_NORM = 1e-12
"""Decoder rows shorter than this count as zero."""

UNIT_NORM_TOLERANCE = 1e-6
"""Norms this close to 1 are rounding."""


@dataclass(frozen=True, kw_only=True)
class Pursuit:
    """Stopping rules of matching pursuit; `residual_threshold` is in the activations' units."""

    n_steps: int
    residual_threshold: float
    stops_on_repeat: bool


@dataclass(frozen=True, kw_only=True)
class ForeignCoder:
    """A linear dictionary as its tool computes it: z = W_enc (x - b_dec if `is_centred`) + b_enc, then the rule.

    W_enc [n, d_in], W_dec [n, d_out], b_dec [d_out], b_enc [n]; threshold: [n], or []; gated: b_gate, b_mag, r_mag [n]
    instead of b_enc.
    """

    rule: CoderRule
    W_dec: Tensor
    b_dec: Tensor
    W_enc: Tensor | None = None
    b_enc: Tensor | None = None
    is_centred: bool = True
    is_transcoder: bool = False
    is_cross_layer: bool = False  # W_dec: the decoders of several layers, summed
    k: int = 1
    threshold: Tensor | None = None
    is_norm_rescaled: bool = False  # rule and threshold see z * |W_dec|
    b_gate: Tensor | None = None
    b_mag: Tensor | None = None
    r_mag: Tensor | None = None
    W_skip: Tensor | None = None
    prefixes: tuple[int, ...] = ()
    pursuit: Pursuit | None = None
    normalisation: Normalisation | None = None

    @property
    def d_in(self) -> int:
        return (self.W_dec if self.W_enc is None else self.W_enc).shape[1]

    def on_scaled_inputs(self, factor: float) -> ForeignCoder:
        """The coder over x that equals this one over factor * x."""
        threshold = self.threshold
        if threshold is not None and self.is_norm_rescaled:
            threshold = threshold / factor
        pursuit = self.pursuit
        if pursuit is not None:
            # The atoms of a pursuit are tied: coefficients change their unit, directions and norms stay.
            residual = pursuit.residual_threshold / factor
            return replace(self, b_dec=self.b_dec / factor, pursuit=replace(pursuit, residual_threshold=residual))
        w_enc = None if self.W_enc is None else self.W_enc * factor
        return replace(self, W_enc=w_enc, W_dec=self.W_dec / factor, b_dec=self.b_dec / factor, threshold=threshold)

    def on_whitened_inputs(self, *, mean: Tensor, matrix: Tensor, inverse: Tensor) -> ForeignCoder:
        """The coder over x that equals this one over (x - mean) @ matrix, mapped back."""
        assert self.W_enc is not None
        coder = self.with_norms_folded() if self.is_norm_rescaled else self
        assert coder.W_enc is not None
        w_enc = (coder.W_enc.double() @ matrix.double().T).float()
        b_dec = coder.b_dec.double() @ inverse.double() + mean.double()
        coder = replace(coder, W_enc=w_enc, b_dec=b_dec, W_dec=(coder.W_dec.double() @ inverse.double()).float())
        return coder if coder.is_centred else coder.with_bias_shift(-(w_enc.double() @ mean.double()))

    def with_norms_folded(self) -> ForeignCoder:
        """The same coder over unit directions; exact if the rule sees z * |W_dec|."""
        assert self.W_enc is not None and self.b_enc is not None
        norms, directions = _norms_and_directions(self.W_dec)
        w_enc, b_enc = self.W_enc * norms[:, None].float(), self.b_enc.double() * norms
        return replace(self, W_enc=w_enc, b_enc=b_enc, W_dec=directions, is_norm_rescaled=False)

    def with_bias_shift(self, shift: Tensor) -> ForeignCoder:
        if self.rule == "gated":
            assert self.b_gate is not None and self.b_mag is not None and self.r_mag is not None
            scaled = shift * self.r_mag.double().exp()
            return replace(self, b_gate=self.b_gate.double() + shift, b_mag=self.b_mag.double() + scaled)
        assert self.b_enc is not None
        return replace(self, b_enc=self.b_enc.double() + shift)


def to_dictionary(coder: ForeignCoder) -> Dictionary:
    """The dictionary that computes what `coder` computes, with codes along unit directions."""
    if coder.rule == "pursuit":
        inner = _pursuit(coder)
    else:
        assert coder.W_enc is not None
        if not coder.is_centred and not coder.is_transcoder:
            coder = replace(coder.with_bias_shift(coder.W_enc.double() @ coder.b_dec.double()), is_centred=True)
        inner = _linear(coder)
    return inner if coder.normalisation is None else NormalisedDictionary(inner, method=coder.normalisation)


def _norms_and_directions(w_dec: Tensor) -> tuple[Tensor, Tensor]:
    norms = torch.linalg.vector_norm(w_dec, dim=1, dtype=torch.float64)
    norms = torch.where(norms < SMALLEST_NORM, 0.0, norms)
    directions = torch.nn.functional.normalize(w_dec, dim=1)
    directions[norms == 0] = torch.eye(1, w_dec.shape[1])  # a zero row points along the first axis, at norm 0
    return norms, directions


def _linear(coder: ForeignCoder) -> Dictionary:
    norms, directions = _norms_and_directions(coder.W_dec)
    is_unit = bool(((norms - 1).abs() <= UNIT_NORM_TOLERANCE).all())
    is_plain = coder.W_skip is None and not coder.is_transcoder
    if coder.rule == "gated" and is_plain:
        return _gated(coder, norms, directions)
    w_enc, b_enc = coder.W_enc, coder.b_enc
    assert w_enc is not None and b_enc is not None
    if coder.rule in ("batchtopk", "matryoshka"):
        coder = _with_one_threshold(coder, norms, is_unit=is_unit)
    is_foldable = coder.rule in ("relu", "jumprelu") or coder.is_norm_rescaled or is_unit
    scale = norms if is_foldable else torch.ones_like(norms)
    tensors = {
        "W_enc": w_enc * scale[:, None].float(),
        "b_enc": b_enc.double() * scale,
        "W_dec": directions,
        "b_dec": coder.b_dec,
    }
    threshold = _threshold(coder, scale)
    if is_plain and is_foldable and coder.rule not in ("groupmax", "signed_topk"):
        return _kind(coder, tensors, threshold)
    if coder.W_skip is not None:
        tensors["W_skip"] = coder.W_skip
    if threshold is not None:
        tensors["threshold"] = threshold
    tensors["code_scale"] = torch.ones_like(norms) if is_foldable else norms
    return _ruled(coder, tensors)


def _with_one_threshold(coder: ForeignCoder, norms: Tensor, *, is_unit: bool) -> ForeignCoder:
    if coder.is_norm_rescaled or is_unit:
        return coder
    assert coder.threshold is not None
    return replace(coder, rule="jumprelu", threshold=coder.threshold.double().expand(norms.shape[0]), prefixes=())


def _threshold(coder: ForeignCoder, scale: Tensor) -> Tensor | None:
    if coder.threshold is None or coder.rule not in ("jumprelu", "batchtopk", "matryoshka"):
        return None
    threshold = coder.threshold.double().clamp_min(0)
    return threshold * scale if threshold.ndim else threshold


def _kind(coder: ForeignCoder, tensors: dict[str, Tensor], threshold: Tensor | None) -> Dictionary:
    if coder.rule == "jumprelu":
        assert threshold is not None
        tensors["log_threshold"] = threshold.log()
    elif threshold is not None:
        tensors["threshold"] = threshold
    return _fill(_empty(coder, coder.rule), tensors)


def _gated(coder: ForeignCoder, norms: Tensor, directions: Tensor) -> Dictionary:
    assert coder.W_enc is not None and coder.r_mag is not None
    assert coder.b_gate is not None and coder.b_mag is not None
    tensors = {
        "W_enc": coder.W_enc * norms[:, None].float(),
        "b_gate": coder.b_gate.double() * norms,
        "b_mag": coder.b_mag.double() * norms,
        "r_mag": coder.r_mag,
        "W_dec": directions,
        "b_dec": coder.b_dec,
    }
    return _fill(_empty(coder, "gated"), tensors)


def _empty(coder: ForeignCoder, kind: str) -> Dictionary:
    extra: dict[str, Any] = {"prefixes": coder.prefixes} if kind == "matryoshka" else {}
    config = DictionaryConfig(kind=kind, n_features=coder.W_dec.shape[0], k=coder.k, **extra)  # type: ignore[arg-type]
    return FAMILIES[kind](config, coder.d_in, generator(0, "import"), None)


def _ruled(coder: ForeignCoder, tensors: Mapping[str, Tensor]) -> Dictionary:
    rule: Rule = coder.rule  # type: ignore[assignment]  # the others have become kinds
    kind = {"relu": "relu", "jumprelu": "jumprelu", "abstopk": "abstopk"}.get(rule, "topk")
    config = DictionaryConfig(kind=kind, n_features=coder.W_dec.shape[0], k=coder.k)  # type: ignore[arg-type]
    shape: dict[str, Any] = {"d_in": coder.d_in, "d_out": coder.W_dec.shape[1], "has_skip": coder.W_skip is not None}
    if coder.is_transcoder:
        made = TranscoderDictionary(config, rule=rule, is_cross_layer=coder.is_cross_layer, **shape)
    else:
        made = RuledDictionary(config, rule=rule, **shape)
    return _fill(made, dict(tensors))


def _pursuit(coder: ForeignCoder) -> Dictionary:
    assert coder.pursuit is not None
    norms, directions = _norms_and_directions(coder.W_dec)
    n_features, d_in = coder.W_dec.shape
    config = DictionaryConfig(kind="inferred", method="matching_pursuit", n_features=n_features)
    dictionary = MatchingPursuitDictionary(
        config,
        d_in=d_in,
        n_steps=coder.pursuit.n_steps,
        residual_threshold=coder.pursuit.residual_threshold,
        stops_on_repeat=coder.pursuit.stops_on_repeat,
    )
    # A tied coder that does not subtract b_dec does not add it either.
    b_dec = coder.b_dec if coder.is_centred else torch.zeros_like(coder.b_dec)
    return _fill(dictionary, {"W_dec": directions, "atom_norm": norms, "b_dec": b_dec})


@torch.no_grad()
def _fill(dictionary: Dictionary, tensors: dict[str, Tensor]) -> Dictionary:
    held = dictionary.state_dict()
    for name, tensor in tensors.items():
        held[name].copy_(tensor)
    return dictionary.eval().requires_grad_(False)
