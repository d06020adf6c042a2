"""Any object with an encoder and decoder directions as a Dictionary; files hold its directions, not its encoder."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary, SparseCode
from sae_core.errors import DictionaryObjectError
from sae_core.randomness import generator

__all__ = ["AdaptedDictionary", "HasEncoder", "adapt", "fingerprint"]

SMALLEST_NORM = 1e-12
"""Rows of `W_dec` shorter than this count as zero."""

N_PROBED = 3
"""Activations used to try an object."""


@runtime_checkable
class HasEncoder(Protocol):
    """What an object must have, beside decoder directions (see `adapt`)."""

    def encode(self, x: Any, /) -> Any:
        """Codes of activations [batch, d_in]."""
        ...


def adapt(source: object) -> Dictionary:
    """`source` as a Dictionary; a Dictionary is returned as it is.

    Required:
    - `encode(x [batch, d_in])`: codes [batch, n_features], or a pair of values and indices [batch, k], row by row; x
      has the dtype and device of the directions;
    - decoder directions of any norm: `W_dec` or `directions` [n_features, d_in], or `decoder.weight` [d_in,
      n_features].

    Optional:
    - `decode(codes [batch, n_features]) -> [batch, d_in]`, used if `encode` gives a matrix; default codes @ directions
      + offset;
    - `offset` or `b_dec` [d_in]; default `decode` of zeros, or 0;
    - `is_dense = True` for codes that are rarely 0 (a firing rule is fitted), `is_signed = True` for codes below 0;
    - `metadata`, a mapping with SAELens' keys (model_name, hook_name, context_size, prepend_bos), checked by a run.

    Directions are scaled to norm 1 and codes by the norms taken off. The object stays on its device; a torch module
    goes into evaluation mode. Raises DictionaryObjectError naming what is missing, of the wrong shape or not finite.
    """
    if isinstance(source, Dictionary):
        return source
    directions = _directions(source)
    adapted = AdaptedDictionary(
        DictionaryConfig(kind="inferred", n_features=directions.shape[0]),
        d_in=directions.shape[1],
        of=type(source).__qualname__,
        is_dense=bool(getattr(source, "is_dense", False)),
        is_signed=bool(getattr(source, "is_signed", False)),
    )
    adapted.attach(source)
    return adapted


class AdaptedDictionary(Dictionary):
    """A dictionary whose codes come from an object, which is not part of its state.

    Buffers: W_dec [n_features, d_in] with unit rows, b_dec [d_in], code_scale [n_features], the object's norms. `of`:
    the object's class; `sha256`: hash of its weights.
    """

    family = "adapted"
    has_decoder = False
    W_dec: Tensor
    b_dec: Tensor
    code_scale: Tensor

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        of: str,
        is_dense: bool = False,
        is_signed: bool = False,
        sha256: str | None = None,
    ) -> None:
        super().__init__()
        if config.n_features is None:
            raise ValueError("n_features must be given")
        self.config, self.d_in, self.n_features = config, d_in, config.n_features
        self.of, self.is_dense, self.is_signed, self.sha256 = of, is_dense, is_signed, sha256
        self._held: tuple[Any, ...] = ()  # a module among the attributes would be saved and moved with this one
        self.register_buffer("W_dec", torch.zeros(self.n_features, d_in))
        self.register_buffer("b_dec", torch.zeros(d_in))
        self.register_buffer("code_scale", torch.ones(self.n_features))

    @property
    def options(self) -> dict[str, Any]:
        return {"of": self.of, "is_dense": self.is_dense, "is_signed": self.is_signed, "sha256": self.sha256}

    @property
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        return self.b_dec

    @property
    def source(self) -> Any:
        """The object. Raises DictionaryObjectError after reading from a file."""
        if not self._held:
            raise DictionaryObjectError(
                f"this dictionary was made of an object, a {self.of!r}, whose encoder is in no file; "
                "give the object again"
            )
        return self._held[0]

    @torch.no_grad()
    def attach(self, source: object) -> None:
        """Take codes from `source`. Raises DictionaryObjectError, also for an object with other weights than
        `sha256`."""
        directions, sha256 = _directions(source), fingerprint(source)
        if self.sha256 not in (None, sha256) or directions.shape != self.W_dec.shape:
            raise _error(source, f"other weights than the {self.of!r} this dictionary was made of; give that one")
        self._held, self.sha256 = (source,), sha256
        if isinstance(source, nn.Module):
            source.eval()
        norms = torch.linalg.vector_norm(directions, dim=1, dtype=torch.float64)
        norms = torch.where(norms < SMALLEST_NORM, 0.0, norms)
        unit = nn.functional.normalize(directions, dim=1)
        unit[norms == 0] = torch.eye(1, self.d_in, device=unit.device)
        self.W_dec.copy_(unit)
        self.code_scale.copy_(norms)
        codes = self._ask(torch.randn(N_PROBED, self.d_in, generator=generator(0, "probe")).to(self.W_dec.device))
        values = codes if isinstance(codes, Tensor) else codes.values
        if not bool(values.isfinite().all()):
            raise _error(source, "an `encode` whose codes are not finite")
        self.has_decoder = isinstance(codes, Tensor) and callable(getattr(source, "decode", None))
        self.b_dec.copy_(self._offset())

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        self.check_width(x)
        codes = self._ask(x)
        if isinstance(codes, Tensor):
            return SparseCode.from_dense(codes * self.code_scale)
        return SparseCode(codes.values * self.code_scale[codes.indices], codes.indices)

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        self.check_width(x)
        codes = self._ask(x)
        return (codes if isinstance(codes, Tensor) else codes.to_dense(self.n_features)) * self.code_scale

    def reconstruct(
        self, x: Float[Tensor, "batch d_in"], code: Float[Tensor, "batch n_features"]
    ) -> Float[Tensor, "batch d_in"]:
        if not self.has_decoder:
            return self.decode_dense(code)
        return self._decode(torch.where(self.code_scale > 0, code / self.code_scale, 0.0))

    def forward(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        return self.reconstruct(x, self.encode_dense(x))

    def _offset(self) -> Tensor:
        for name in ("offset", "b_dec"):
            stated = getattr(self.source, name, None)
            if stated is not None:
                offset = _tensor(self.source, name, stated)
                if offset.shape != self.b_dec.shape:
                    raise _error(self.source, f"`{name}` of shape {tuple(offset.shape)}, must be ({self.d_in},)")
                return offset
        if not self.has_decoder:
            return torch.zeros_like(self.b_dec)
        return self._decode(torch.zeros(1, self.n_features, device=self.W_dec.device))[0]

    def _ask(self, x: Tensor) -> Tensor | SparseCode:
        reply = self._call("encode", x)
        if isinstance(reply, tuple) and len(reply) >= 2:
            values, indices = (_tensor(self.source, "encode", part, dtype=None) for part in reply[:2])
            is_pair = not (indices.is_floating_point() or indices.is_complex())
            if not is_pair or values.ndim != 2 or values.shape != indices.shape or len(values) != len(x):
                raise _error(self.source, "an `encode` that gives two things which are no values and indices")
            if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < self.n_features:
                raise _error(self.source, f"an `encode` with indices beyond its {self.n_features} directions")
            return SparseCode(values.to(x.device, torch.float32), indices.to(x.device, torch.int64))
        codes = _tensor(self.source, "encode", reply).to(x.device)
        if codes.shape != (len(x), self.n_features):
            wanted = (len(x), self.n_features)
            raise _error(self.source, f"an `encode` that gives {tuple(codes.shape)} where {wanted} is wanted")
        return codes

    def _decode(self, codes: Tensor) -> Tensor:
        rows = _tensor(self.source, "decode", self._call("decode", codes)).to(codes.device)
        if rows.shape != (len(codes), self.d_in):
            wanted = (len(codes), self.d_in)
            raise _error(self.source, f"a `decode` that gives {tuple(rows.shape)} where {wanted} is wanted")
        return rows

    def _call(self, method: str, rows: Tensor) -> Any:
        own = _stated(self.source)[1]
        place = own if isinstance(own, Tensor) else torch.zeros(0)
        dtype = place.dtype if place.is_floating_point() else torch.float32
        try:
            with torch.no_grad():
                return getattr(self.source, method)(rows.to(place.device, dtype))
        except Exception as error:
            # a stranger's code may raise anything; what it was stands in the message
            said = " ".join(str(error).split())[:200]
            text = f"a `{method}` that fails on {tuple(rows.shape)} ({type(error).__name__}: {said})"
            raise _error(self.source, text) from error


def _stated(source: object) -> tuple[str, Any]:
    for name in ("W_dec", "directions"):
        if getattr(source, name, None) is not None:
            return name, getattr(source, name)
    weight = getattr(getattr(source, "decoder", None), "weight", None)
    return "decoder.weight", weight


def _directions(source: object) -> Tensor:
    if not callable(getattr(source, "encode", None)):
        raise _error(source, "no `encode`, which gives codes of activations")
    name, stated = _stated(source)
    if stated is None:
        raise _error(source, "no decoder directions, as `W_dec` or `directions` [n_features, d_in]")
    directions = _tensor(source, name, stated)
    if directions.ndim != 2 or not directions.numel():
        raise _error(source, f"`{name}` of shape {tuple(directions.shape)}, must be [n_features, d_in]")
    if not bool(directions.isfinite().all()):
        raise _error(source, f"values in `{name}` that are not finite")
    return directions.T.contiguous() if name == "decoder.weight" else directions


def _tensor(source: object, name: str, value: Any, *, dtype: torch.dtype | None = torch.float32) -> Tensor:
    try:
        tensor = torch.as_tensor(value).detach()
        tensor = tensor if tensor.layout is torch.strided else tensor.to_dense()
        return tensor if dtype is None else tensor.to(dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _error(source, f"`{name}` that is or gives a {type(value).__name__}, no array of numbers") from error


def fingerprint(source: object) -> str:
    """Hash of all weights: a module's state, else the arrays among the object's attributes."""
    weights = source.state_dict() if isinstance(source, nn.Module) else getattr(source, "__dict__", {})
    digest = hashlib.sha256()
    for name, value in sorted({**weights, "directions": _stated(source)[1]}.items()):
        if isinstance(value, Tensor | np.ndarray):
            array = _tensor(source, name, value, dtype=None).cpu().contiguous()
            digest.update(f"{name}{tuple(array.shape)}{array.dtype}".encode())
            digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _error(source: object, what: str) -> DictionaryObjectError:
    return DictionaryObjectError(
        f"an object, a {type(source).__qualname__!r}, cannot serve as a dictionary: it has {what} "
        "(see sae_core.adapter.adapt)"
    )
