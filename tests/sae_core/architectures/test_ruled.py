"""Rules against loops over rows and features; transcoders and skips; widths and errors."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from sae_core.architectures.inferred import InferredDictionary
from sae_core.architectures.ruled import Rule, RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.config import DictionaryConfig
from sae_core.errors import WidthMismatchError

D, D_OUT, N, K = 5, 7, 12, 4
X = torch.randn(40, D, generator=torch.Generator().manual_seed(0)) + 0.3


@torch.no_grad()
def _filled(dictionary: RuledDictionary) -> RuledDictionary:
    draw = torch.Generator().manual_seed(1)
    for name, tensor in dictionary.state_dict().items():
        tensor.copy_(torch.randn(tensor.shape, generator=draw))
        if name == "code_scale":
            tensor.abs_()
    return dictionary


def _rule(row: list[float], rule: str, threshold: list[float]) -> list[float]:
    """One row's codes, feature by feature."""
    code = [0.0] * len(row)
    if rule in ("relu", "jumprelu"):
        return [
            z if z > max(0.0, t if rule == "jumprelu" else 0.0) else 0.0 for z, t in zip(row, threshold, strict=True)
        ]
    size = len(row) // K
    groups = [range(i * size, (i + 1) * size) for i in range(K)]
    by_value = sorted(range(len(row)), key=lambda i: -row[i])
    by_size = sorted(range(len(row)), key=lambda i: -abs(row[i]))
    chosen = {"groupmax": [max(g, key=lambda i: row[i]) for g in groups], "abstopk": by_size[:K]}
    for i in chosen.get(rule, by_value[:K]):
        code[i] = row[i] if rule in ("abstopk", "signed_topk") else max(0.0, row[i])
    return code


@pytest.mark.parametrize("is_transcoder", [False, True])
@pytest.mark.parametrize("has_skip", [False, True])
@pytest.mark.parametrize("rule", get_args(Rule))
def test_rules_are_those_of_a_loop(rule: Rule, has_skip: bool, is_transcoder: bool) -> None:
    config = DictionaryConfig(kind="topk", n_features=N, k=K)
    if is_transcoder:
        dictionary = _filled(TranscoderDictionary(config, d_in=D, d_out=D_OUT, rule=rule, has_skip=has_skip))
    else:
        dictionary = _filled(RuledDictionary(config, d_in=D, rule=rule, has_skip=has_skip))
    p = {name: tensor.double() for name, tensor in dictionary.state_dict().items()}
    read = X.double() if is_transcoder else X.double() - p["b_dec"]
    pre = read @ p["W_enc"].T + p["b_enc"]
    threshold = p.get("threshold", torch.zeros(N)).tolist()
    code = torch.tensor([_rule(row, rule, threshold) for row in pre.tolist()]).double() * p["code_scale"]
    wanted = code @ p["W_dec"] + p["b_dec"] + (X.double() @ p["W_skip"].T if has_skip else 0)
    torch.testing.assert_close(dictionary.encode_dense(X).double(), code, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dictionary.encode(X).to_dense(N).double(), code, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dictionary(X).double(), wanted, rtol=1e-5, atol=1e-4)
    chosen = torch.tensor([3, 0])
    torch.testing.assert_close(dictionary.encode_features(X, chosen).double(), code[:, chosen], rtol=1e-5, atol=1e-5)
    assert dictionary.is_signed == bool((code < 0).any())
    assert dictionary.is_transcoder == is_transcoder
    assert dictionary.directions.shape == (N, D_OUT if is_transcoder else D)


def test_codes_can_be_inferred_over_a_plain_decoder_only() -> None:
    config = DictionaryConfig(kind="topk", n_features=N, k=K)
    plain = _filled(RuledDictionary(config, d_in=D, rule="topk"))
    assert torch.equal(InferredDictionary.over(plain, k=2).directions, plain.directions)
    for other in (
        RuledDictionary(config, d_in=D, rule="topk", has_skip=True),
        TranscoderDictionary(config, d_in=D, d_out=D, rule="topk"),
    ):
        with pytest.raises(ValueError, match="codes cannot be inferred over"):
            InferredDictionary.over(other, k=2)


def test_what_cannot_be_is_refused() -> None:
    config = DictionaryConfig(kind="topk", n_features=N, k=5)
    with pytest.raises(ValueError, match="groupmax must divide the 12 features"):
        RuledDictionary(config, d_in=D, rule="groupmax")
    with pytest.raises(WidthMismatchError, match="6 wide"):
        RuledDictionary(config, d_in=D, rule="topk").encode(torch.zeros(2, 6))
