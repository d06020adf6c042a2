"""A dictionary's decoder with codes optimised at inference, free of the encoder's amortisation gap (arXiv
2411.13117)."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from sae_core.architectures.ruled import RuledDictionary
from sae_core.config import DictionaryConfig, InferenceMethod
from sae_core.dictionary import Dictionary, SparseCode
from sae_core.inference.methods import infer, method_named, warm_startable
from sae_core.inference.problem import row_chunks
from sae_core.trainable import TrainableDictionary

__all__ = ["InferredDictionary", "own_l1_weight"]


def own_l1_weight(dictionary: TrainableDictionary) -> float:
    """The `l1_weight` of inference that equals the training objective of `dictionary` (loss "mse" with L1).

    Raises ValueError for another penalty or a steered weight.
    """
    config = dictionary.config
    is_plain = config.kind == "relu" or (config.kind == "mlp" and config.output == "relu")
    if not is_plain or config.l0_target is not None:
        raise ValueError(
            f"l1_weight must be given: a {config.kind!r} dictionary{' with l0_target' if is_plain else ''} "
            "has no fixed L1 weight of its own"
        )
    # Training minimises s^2 |x - zD|^2 / d_in + w u sum z, with input scale s, weight w and unit u:
    # divided by 2 s^2 / d_in, |x - zD|^2 / 2 stands beside w u d_in / (2 s^2).
    scale = float(dictionary.input_scale)
    return config.l1_weight * float(dictionary.l1_unit) * dictionary.d_in / (2 * scale**2)


class InferredDictionary(Dictionary):
    """Directions and offset of another dictionary; `config.method` finds codes (0 or more) of x - offset.

    Pursuits find at most `config.k` active features; the other methods minimise (1/2) |x - offset - zD|^2 +
    config.l1_weight * sum z in the activations' units, from 0 or from the codes of `encoder`. Buffers: W_dec
    [n_features, d_in], b_dec [d_in].
    """

    family = "inferred"
    W_dec: Tensor
    b_dec: Tensor
    encoder: Dictionary | None

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator | None = None,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
        encoder: Dictionary | None = None,
    ) -> None:
        """Use `encoder`'s directions, or random ones about the sample's mean (or 0).

        Raises ValueError for a warm start without encoder, or with a method that takes none.
        """
        super().__init__()
        if config.n_features is None:
            raise ValueError("n_features must be given for kind 'inferred'")
        method = method_named(config.method)
        if config.is_warm_started and not method.takes_warm_start:
            raise ValueError(
                f"is_warm_started = True: method {config.method!r} starts from nothing; "
                f"switch it off or use {warm_startable()}"
            )
        if config.is_warm_started and encoder is None:
            raise ValueError("is_warm_started = True: there is no encoder to start from; use InferredDictionary.over")
        self.config = config
        self.d_in, self.n_features = d_in, config.n_features
        # Kept only where it is used, so that the others save without it.
        self.encoder = encoder if config.is_warm_started else None
        if encoder is not None:
            directions, offset = encoder.directions.detach().clone(), encoder.offset.detach().clone()
        else:
            directions = functional.normalize(torch.randn(self.n_features, d_in, generator=draw), dim=1)
            offset = torch.zeros(d_in) if sample is None else sample.double().mean(dim=0).float()
        self.register_buffer("W_dec", directions)
        self.register_buffer("b_dec", offset)

    @classmethod
    def over(
        cls,
        dictionary: Dictionary,
        *,
        method: InferenceMethod = "gradient_pursuit",
        k: int = 32,
        l1_weight: float | None = None,
        n_inference_steps: int = 100,
        is_warm_started: bool = False,
    ) -> InferredDictionary:
        """The decoder of `dictionary` with inferred codes; l1_weight None: `own_l1_weight`.

        Raises ValueError where there is none, and for a dictionary that decodes with more than directions and offset.
        """
        is_plain = type(dictionary).reconstruct is Dictionary.reconstruct
        if isinstance(dictionary, RuledDictionary):
            is_plain = not dictionary.has_skip and not dictionary.is_transcoder
        if not is_plain or dictionary.directions.shape[1] != dictionary.d_in:
            raise ValueError(
                f"codes cannot be inferred over a {type(dictionary).__name__}: it decodes with more than directions "
                "and offset, or into another space; give a plain dictionary"
            )
        is_penalised = not method_named(method).is_pursuit
        if l1_weight is None and is_penalised:
            if not isinstance(dictionary, TrainableDictionary):
                raise ValueError(f"l1_weight must be given: a {dictionary.config.kind!r} dictionary was not trained")
            l1_weight = own_l1_weight(dictionary)
        config = DictionaryConfig(
            kind="inferred",
            n_features=dictionary.n_features,
            method=method,
            k=k,
            l1_weight=0.0 if l1_weight is None else l1_weight,
            n_inference_steps=n_inference_steps,
            is_warm_started=is_warm_started,
        )
        return cls(config, d_in=dictionary.d_in, encoder=dictionary)

    @property
    def directions(self) -> Float[Tensor, "n_features d_in"]:
        return self.W_dec

    @property
    def offset(self) -> Float[Tensor, " d_in"]:
        return self.b_dec

    @torch.no_grad()
    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        self.check_width(x)
        chunks = row_chunks(x.shape[0], values_per_row=self.n_features, device=x.device)
        return SparseCode.join([self._encode_chunk(x[rows]) for rows in chunks] or [self._encode_chunk(x)])

    def _encode_chunk(self, x: Tensor) -> SparseCode:
        return infer(
            x - self.b_dec,
            self.W_dec,
            method=self.config.method,
            n_active=self.config.k,
            l1_weight=self.config.l1_weight,
            n_steps=self.config.n_inference_steps,
            warm_start=None if self.encoder is None else self.encoder.encode_dense(x),
        )

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        return self.encode(x).to_dense(self.n_features)
