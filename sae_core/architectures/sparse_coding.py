"""Sparse coding in the training loop: no encoder, codes optimised for every batch.

Online dictionary learning (Mairal, Bach, Ponce & Sapiro 2009, section 3) with FISTA and the loop's own optimiser.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sae_core.config import DictionaryConfig
from sae_core.dictionary import SparseCode
from sae_core.geometric_median import geometric_median
from sae_core.inference.problem import row_chunks
from sae_core.inference.proximal import fista
from sae_core.sparse.codes import DenseCodes
from sae_core.trainable import TrainableDictionary, TrainingPass

__all__ = ["SparseCodingDictionary"]


class SparseCodingDictionary(TrainableDictionary):
    """f = argmin over z >= 0 of (1/2) |x - b_d - z W_d|^2 + code_l1 * sum z, by `n_inference_steps` of FISTA.

    Buffer: code_l1, scalar, `l1_weight` in activation units, so that codes and decoder minimise one objective.
    """

    code_l1: Tensor

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        super().__init__(config, d_in=d_in, draw=draw)
        self.register_buffer("code_l1", torch.tensor(self._own_l1(), dtype=torch.float32))
        if sample is not None:
            with torch.no_grad():
                self.b_dec.copy_(geometric_median(sample))

    def set_input_scale(self, scale: float) -> None:
        super().set_input_scale(scale)
        self.code_l1.fill_(self._own_l1())

    def scale_thresholds(self, factor: float) -> None:
        self.code_l1.mul_(factor)

    def _own_l1(self) -> float:
        # Beside |error|^2 / 2, where training has l1_weight * l1_unit beside s^2 |error|^2 / d_in.
        return self.config.l1_weight * float(self.l1_unit) * self.d_in / (2 * float(self.input_scale) ** 2)

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        self.check_width(x)
        # No gradient passes through the codes: at their optimum it is 0.
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            return fista(
                x - self.b_dec,
                self.W_dec.detach(),
                l1_weight=float(self.code_l1),
                n_steps=self.config.n_inference_steps,
            )

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        """Codes as (values, indices); only a block of rows is ever dense."""
        self.check_width(x)
        chunks = row_chunks(x.shape[0], values_per_row=self.n_features, device=x.device)
        blocks = [SparseCode.from_dense(self.encode_dense(x[rows])) for rows in chunks] or [
            SparseCode.from_dense(self.encode_dense(x))
        ]
        return SparseCode.join(blocks)

    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        codes = DenseCodes(self.encode_dense(x))
        code_sum = codes.values.sum() / codes.n_rows
        return TrainingPass(
            reconstruction=codes.decode(self.W_dec) + self.b_dec,
            code_sum=code_sum,
            n_active=codes.n_active(),
            fired=codes.fired(),
            penalty=self.config.l1_weight * self.l1_unit * code_sum,
        )

    @torch.no_grad()
    def revive(
        self,
        features: Int[Tensor, " n_revived"],
        *,
        x: Float[Tensor, "batch d_in"],
        rows: Int[Tensor, " n_revived"],
        norm_frac: float,
        is_dead: Bool[Tensor, " n_features"],
    ) -> None:
        """Point dead `features` at the `rows` of the batch `x`, one each."""
        self.W_dec[features] = functional.normalize(x[rows] - self.b_dec, dim=1)
