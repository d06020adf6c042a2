"""When features fire: the rules of a whole dictionary, kept beside its weights, and the firings they yield."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from autointerp.errors import ArtefactError
from autointerp.records.evidence import FiringRule
from sae_core.atomic import replace_file
from sae_core.device import fast_matmul
from sae_core.dictionary import Dictionary
from sae_core.positions import is_above, true_positions

__all__ = ["FiringRules", "Firings", "find_firings"]

FILE = "firing_rules.safetensors"
HASH = "sha256"
ROWS_PER_BLOCK = 1024
Kind = Literal["above_zero", "quantile"]


@dataclass(frozen=True, eq=False)
class FiringRules:
    """One rule per feature: it fires where `sign * value > threshold`; tensors are [n_features] on the CPU.

    Its activation there is `sign * value`, less a negative threshold, so that activations are always above 0.
    """

    kind: Kind
    threshold: Float[Tensor, " n_features"]
    sign: Float[Tensor, " n_features"]
    # of `quantile` rules only
    target_density: Float[Tensor, " n_features"] | None = None

    @classmethod
    def above_zero(cls, n_features: int) -> FiringRules:
        """The rule of sparse codes."""
        return cls("above_zero", torch.zeros(n_features), torch.ones(n_features))

    @classmethod
    def quantile(
        cls,
        threshold: Float[Tensor, " n_features"],
        *,
        target_density: Float[Tensor, " n_features"] | float,
        sign: Float[Tensor, " n_features"] | None = None,
    ) -> FiringRules:
        """Features fire above a fitted threshold, on the positive side unless `sign` says otherwise."""
        values = threshold.detach().cpu().float().clone()
        density = torch.as_tensor(target_density, dtype=torch.float32).cpu().expand(values.shape).clone()
        signs = torch.ones_like(values) if sign is None else sign.detach().cpu().float().clone()
        return cls("quantile", values, signs, density)

    @property
    def n_features(self) -> int:
        return self.threshold.shape[0]

    def rule(self, feature: int) -> FiringRule:
        density = None if self.target_density is None else float(self.target_density[feature])
        sign: Literal[1, -1] = 1 if self.sign[feature] > 0 else -1
        return FiringRule(self.kind, float(self.threshold[feature]), sign, density)

    def save(self, folder: Path) -> None:
        """Raises sae_core's DictionaryWriteError when the disk is full."""
        tensors = {"threshold": self.threshold.contiguous(), "sign": self.sign.contiguous()}
        if self.target_density is not None:
            tensors["target_density"] = self.target_density.contiguous()
        # a tensor, since safetensors orders several metadata entries at will
        tensors[HASH] = _hash(self.kind, tensors)
        replace_file(Path(folder) / FILE, save(tensors, metadata={"kind": self.kind}))

    @classmethod
    def load(cls, folder: Path) -> FiringRules:
        """Raises ArtefactError when the file is absent or damaged."""
        path = Path(folder) / FILE
        if not path.is_file():
            raise ArtefactError(f"{path} does not exist; run the train stage again")
        try:
            with safe_open(path, framework="pt") as file:
                kind = (file.metadata() or {}).get("kind")
                names = set(file.keys())
                tensors = {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise ArtefactError(f"{path} is damaged ({error}); run the train stage again") from error
        if kind not in ("above_zero", "quantile") or not {"threshold", "sign"} <= names:
            raise ArtefactError(f"{path} holds no firing rules of this package; run the train stage again")
        stated = tensors.pop(HASH, None)  # none before there were hashes
        if stated is not None and not torch.equal(stated, _hash(kind, tensors)):
            raise ArtefactError(f"{path} was changed or damaged since it was written; run the train stage again")
        return cls(kind, tensors["threshold"], tensors["sign"], tensors.get("target_density"))


def _hash(kind: str, tensors: Mapping[str, Tensor]) -> Tensor:
    """sha256 as 32 bytes."""
    digest = hashlib.sha256(kind.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode() + tensor.numpy().tobytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)


class Firings(NamedTuple):
    """Where features fire in a batch, ordered by feature and row; [n] each."""

    # the feature's index, or its place among the features asked for
    feature: np.ndarray
    # of the batch
    row: np.ndarray
    # float32, above 0
    value: np.ndarray


@torch.no_grad()
def find_firings(
    dictionary: Dictionary, rules: FiringRules, x: Float[Tensor, "batch d_in"], *, features: Tensor | None = None
) -> Firings:
    """Firings of all features, or of `features` ([chosen] int64)."""
    device = dictionary.directions.device
    x = x.to(device)
    # On a GPU the fast product is TF32, whose rounding would move tokens over a threshold.
    with fast_matmul(device) if device.type == "cpu" else nullcontext():
        is_sparse = type(dictionary).encode is not Dictionary.encode and rules.kind == "above_zero"
        if is_sparse and (features is None or not dictionary.is_featurewise):
            return _sparse_firings(dictionary, x, features)
        chosen = None if features is None else features.to(device)
        values = dictionary.encode_dense(x) if chosen is None else dictionary.encode_features(x, chosen)
    return _dense_firings(values, rules, features)


def _dense_firings(values: Tensor, rules: FiringRules, features: Tensor | None) -> Firings:
    threshold, sign = rules.threshold, rules.sign
    if features is not None:
        threshold, sign = threshold[features], sign[features]
    threshold, sign = threshold.to(values), sign.to(values)
    is_plain = bool((rules.sign > 0).all())
    limit = threshold.new_zeros(()) if rules.kind == "above_zero" else threshold
    n_features = values.shape[1]
    parts = []
    for start in range(0, values.shape[0], ROWS_PER_BLOCK):
        rows = values[start : start + ROWS_PER_BLOCK]
        mask = is_above(rows if is_plain else rows * sign, limit)
        parts.append(true_positions(mask.view(-1)) + start * n_features)
    flat = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64, device=values.device)
    row = flat // n_features
    feature = flat - row * n_features
    # only what fires is computed on
    value = values[row, feature] * sign[feature] - threshold[feature].clamp(max=0)
    return _in_order(feature, row, value, n_rows=values.shape[0])


def _sparse_firings(dictionary: Dictionary, x: Tensor, features: Tensor | None) -> Firings:
    """Firings without a [batch, n_features] matrix."""
    code = dictionary.encode(x)
    at = true_positions((code.values > 0).reshape(-1))
    feature, value = code.indices.reshape(-1)[at], code.values.reshape(-1)[at]
    row = at // code.values.shape[1]
    if features is not None:
        place = torch.full((dictionary.n_features,), -1, device=feature.device)
        place[features.to(feature.device)] = torch.arange(len(features), device=feature.device)
        feature = place[feature]
        is_chosen = feature >= 0
        feature, row, value = feature[is_chosen], row[is_chosen], value[is_chosen]
    return _in_order(feature, row, value, n_rows=x.shape[0])


def _in_order(feature: Tensor, row: Tensor, value: Tensor, *, n_rows: int) -> Firings:
    order = torch.sort(feature * n_rows + row).indices
    return Firings(*(part[order].cpu().numpy() for part in (feature, row, value.float())))
