"""Dictionaries whose encoder ends in a linear layer."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sae_core.config import DictionaryConfig
from sae_core.dictionary import SparseCode
from sae_core.geometric_median import geometric_median
from sae_core.sparse.codes import BatchCodes
from sae_core.sparse.selection import is_selection_worthwhile, padded_code, select_above
from sae_core.trainable import TrainableDictionary, TrainingPass

__all__ = ["ALL_FEATURES", "EncoderDictionary", "Features"]

Features = Int[Tensor, " chosen"] | slice
ALL_FEATURES = slice(None)

FEATURES_PER_STARTED_BLOCK = 1024

ROWS_PER_ENCODED_BLOCK = 1024
"""Rows that are dense at a time in `encode`."""


class EncoderDictionary(TrainableDictionary):
    """A dictionary whose encoder ends in a linear layer. Further parameters: W_enc [n_features, d_hidden], b_enc.

    A family defines the rule from pre-activations to codes: `codes_of` for inference, `rule_pass` with gradients.
    """

    is_featurewise = True
    is_hidden_centred: bool = True

    def __init__(
        self,
        config: DictionaryConfig,
        *,
        d_in: int,
        draw: torch.Generator,
        sample: Float[Tensor, "n_sample d_in"] | None = None,
    ) -> None:
        super().__init__(config, d_in=d_in, draw=draw)
        d_hidden = self.add_hidden_layers(draw)
        self.W_enc = nn.Parameter(torch.zeros(self.n_features, d_hidden))
        self.add_feature_parameters()
        with torch.no_grad():
            if sample is not None:
                self.b_dec.copy_(geometric_median(sample))
            self.initialise_encoder(sample, draw)

    def add_hidden_layers(self, draw: torch.Generator) -> int:
        """Add the layers before the last one; return the width that one reads."""
        return self.d_in

    def add_feature_parameters(self) -> None:
        """Add the parameters and buffers of the family's rule."""
        self.b_enc = nn.Parameter(torch.zeros(self.n_features))

    def initialise_encoder(self, sample: Float[Tensor, "n_sample d_in"] | None, draw: torch.Generator) -> None:
        self.W_enc.copy_(self.W_dec * self.config.encoder_init_norm)

    @torch.no_grad()
    def start_sparse(self, sample: Float[Tensor, "n_sample d_in"]) -> None:
        """Set biases so that every feature fires on `config.start_density` of the sample."""
        density = self.config.start_density
        if density is None:
            return
        hidden = self.hidden(sample)
        for features in torch.arange(self.n_features).split(FEATURES_PER_STARTED_BLOCK):
            self.fire_above(features, _levels(hidden, self.W_enc[features], density=density))

    def fire_above(self, features: Int[Tensor, " chosen"], level: Float[Tensor, " chosen"]) -> None:
        """Set the biases with which features fire where W_enc @ hidden is above `level`."""
        self.b_enc[features] = -level

    @property
    def feature_parameters(self) -> list[nn.Parameter]:
        return [self.W_enc, self.b_enc, self.W_dec]

    def hidden(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_hidden"]:
        """What the last encoder layer reads."""
        return x - self.b_dec

    def read(
        self, x: Float[Tensor, "batch d_in"]
    ) -> tuple[Float[Tensor, "batch d_hidden"], Float[Tensor, " n_features"]]:
        """The hidden vectors, and zeros that carry the gradient of `b_dec` when added to the pre-activations."""
        # b_dec's gradient is -(sum of the pre-activations' gradients) @ W_enc: one matrix-vector product, by a bias.
        with torch.autocast(x.device.type, enabled=False):
            carrier = functional.linear(self.b_dec.detach() - self.b_dec, self.W_enc.detach())
        return x - self.b_dec.detach(), carrier

    def pre_activations(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        return functional.linear(hidden, self.W_enc[features], self.b_enc[features]).to(hidden.dtype)

    @abstractmethod
    def codes_of(
        self, hidden: Float[Tensor, "batch d_hidden"], features: Features = ALL_FEATURES
    ) -> Float[Tensor, "batch chosen"]:
        """Dense codes of some features at inference."""

    @abstractmethod
    def rule_pass(self, hidden: Float[Tensor, "batch d_hidden"], carrier: Float[Tensor, " n_features"]) -> TrainingPass:
        """The training pass from the hidden vectors on; `carrier` (zeros) is added to the pre-activations."""

    def training_pass(self, x: Float[Tensor, "batch d_in"]) -> TrainingPass:
        self.check_width(x)
        return self.rule_pass(*self.read(x))

    def encode_dense(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch n_features"]:
        self.check_width(x)
        return self.codes_of(self.hidden(x))

    def encode_features(
        self, x: Float[Tensor, "batch d_in"], features: Int[Tensor, " chosen"]
    ) -> Float[Tensor, "batch chosen"]:
        self.check_width(x)
        return self.codes_of(self.hidden(x), features)

    @property
    def floor(self) -> Float[Tensor, "#n_features"] | None:
        """What a pre-activation has to exceed to be its feature's code at inference; None where codes are made
        otherwise."""
        return None

    def encode(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        self.check_width(x)
        floor = None if torch.is_grad_enabled() else self.floor
        if floor is not None:
            hidden = self.hidden(x)
            # where few are above, without a dense matrix and by fast products; no gradient passes through
            if is_selection_worthwhile(hidden, self.W_enc, self.b_enc, floor=floor):
                return padded_code(*select_above(hidden, self.W_enc, self.b_enc, floor=floor))
        blocks = [SparseCode.from_dense(self.codes_of(self.hidden(rows))) for rows in x.split(ROWS_PER_ENCODED_BLOCK)]
        return SparseCode.join(blocks)

    def pass_of(self, codes: BatchCodes, penalty: Float[Tensor, ""] | None = None) -> TrainingPass:
        code_sum = codes.values.abs().sum() / codes.n_rows
        return TrainingPass(
            reconstruction=codes.decode(self.W_dec) + self.b_dec,
            code_sum=code_sum,
            n_active=codes.n_active(),
            fired=codes.fired(),
            penalty=torch.zeros_like(code_sum) if penalty is None else penalty,
        )

    @torch.no_grad()
    def finish(self) -> None:
        """Fold the directions' norms into the encoder."""
        norms = self.W_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
        if self.config.published_decoder_norm:
            self.W_enc.mul_(norms)
            self.b_enc.mul_(norms[:, 0])
        self.W_dec.div_(norms)

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
        """Point dead `features` at the `rows` of the batch `x`, one each (Bricken et al. 2023, "Neuron Resampling").

        Encoder rows get `norm_frac` of the live rows' mean norm.
        """
        norms = self.W_enc.norm(dim=1)
        # A masked mean, not an index: no wait for the device.
        n_live = (~is_dead).sum()
        live_norm = torch.where(n_live > 0, (norms * ~is_dead).sum() / n_live.clamp_min(1), norms.mean())
        hidden = self.hidden(x)
        centre = torch.zeros_like(hidden[0]) if self.is_hidden_centred else hidden.mean(dim=0)
        offsets = hidden[rows] - centre
        encoder = functional.normalize(offsets, dim=1) * self.revived_norm(live_norm * norm_frac)
        self.W_dec[features] = functional.normalize(x[rows] - self.b_dec, dim=1)
        self.W_enc[features] = encoder
        level, height = encoder @ centre, (encoder * offsets).sum(dim=1)
        if self.config.start_density is not None:
            # Not above the middle between the centre and the chosen row, so that it fires there.
            level = torch.minimum(_levels(hidden, encoder, density=self.config.start_density), level + height / 2)
        self.revive_rule(features, level=level, height=height)

    def revived_norm(self, norm: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The norm of a revived encoder row, where `norm` is the share of the live rows' that is asked for."""
        return norm

    def revive_rule(
        self,
        features: Int[Tensor, " n_revived"],
        *,
        level: Float[Tensor, " n_revived"],
        height: Float[Tensor, " n_revived"],
    ) -> None:
        """Let revived features fire where W_enc @ hidden is above `level`; `height` is that of their row above the
        centre of the hidden vectors."""
        self.fire_above(features, level)


def _levels(
    hidden: Float[Tensor, "batch d_hidden"], encoder: Float[Tensor, "chosen d_hidden"], *, density: float
) -> Float[Tensor, " chosen"]:
    """What each row's product with `hidden` exceeds on `density` of the batch, at least on one activation."""
    n_firing = max(1, round(density * hidden.shape[0]))
    highest = functional.linear(hidden, encoder).topk(min(n_firing + 1, hidden.shape[0]), dim=0).values
    return highest[-1]
