"""The final norm read off the module, for both kinds of norm, any spelling of the gain and an odd width."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autointerp.subject.unembedding import LinearNorm, logit_effects

CPU = torch.device("cpu")


class OffsetRMSNorm(nn.Module):
    """Gain spelt 1 + w, as Gemma does."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


@pytest.mark.parametrize("d_model", [7, 16])
def test_layer_norm_centres_and_rms_norm_does_not(d_model) -> None:
    gain = torch.linspace(-1, 2, d_model)
    layer = nn.LayerNorm(d_model)
    layer.weight.data, layer.bias.data = gain.clone(), torch.arange(d_model).float()
    measured = LinearNorm.measure(layer, d_model=d_model, device=CPU)
    assert measured.centres
    torch.testing.assert_close(measured.gain, gain, rtol=1e-4, atol=1e-5)
    rms = LinearNorm.measure(OffsetRMSNorm(gain - 1), d_model=d_model, device=CPU)
    assert not rms.centres
    torch.testing.assert_close(rms.gain, gain, rtol=1e-4, atol=1e-5)


def test_without_a_norm_directions_go_straight_through() -> None:
    norm = LinearNorm.measure(None, d_model=3, device=CPU)
    directions, out, unembedding = torch.rand(2, 4), torch.rand(4, 3), torch.rand(3, 5)
    torch.testing.assert_close(
        logit_effects(directions, out=out, norm=norm, unembedding=unembedding), directions @ out @ unembedding
    )
