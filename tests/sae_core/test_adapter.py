"""Objects of other classes serve as dictionaries: their own codes, along directions of norm 1."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sae_core.adapter import adapt
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig
from sae_core.description import kind_of
from sae_core.errors import DictionaryExportError, DictionaryObjectError
from sae_core.foreign.writing import export_dictionary
from sae_core.quality import measure_quality

D, N, K = 6, 10, 3
DRAW = torch.Generator().manual_seed(0)
W_ENC, W_DEC = torch.randn(D, N, generator=DRAW), torch.randn(N, D, generator=DRAW) * 3
B_DEC = torch.randn(D, generator=DRAW)
X = torch.randn(40, D, generator=DRAW)
CODES = torch.relu((X - B_DEC) @ W_ENC)


class Own:
    """The least an object can be, and what it may have beside."""

    def __init__(self, **more: Any) -> None:
        self.W_dec, self.b_dec = W_DEC, B_DEC
        vars(self).update(more)

    def encode(self, x: Any) -> Any:
        return torch.relu((x - B_DEC) @ W_ENC)


class Module(nn.Module):
    """As dictionary_learning writes them: a linear decoder, float64, a dropout that evaluation switches off."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Linear(N, D, dtype=torch.float64)
        self.decoder.weight.data.copy_(W_DEC.T)
        self.dropout = nn.Dropout(0.9)

    def encode(self, x: Tensor) -> Tensor:
        return self.dropout(torch.relu(x @ W_ENC.double()))

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(codes).tanh()


def test_codes_are_counted_along_directions_of_norm_one() -> None:
    dictionary = adapt(Own())
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(N))
    torch.testing.assert_close(dictionary.encode_dense(X), CODES * W_DEC.norm(dim=1))
    torch.testing.assert_close(dictionary.encode(X).to_dense(N), dictionary.encode_dense(X))
    torch.testing.assert_close(dictionary(X), CODES @ W_DEC + B_DEC)
    assert (dictionary.d_in, dictionary.n_features, dictionary.is_dense) == (D, N, False)
    assert adapt(dictionary) is dictionary
    assert kind_of(dictionary) == "Own"


def test_a_modules_own_decoder_is_asked_in_its_own_type() -> None:
    module = Module()
    dictionary = adapt(module)
    code = torch.relu(X @ W_ENC)
    wanted = module.decode(code.double()).float().detach()
    torch.testing.assert_close(dictionary.encode_dense(X), code * W_DEC.norm(dim=1))
    torch.testing.assert_close(dictionary(X), wanted)
    torch.testing.assert_close(dictionary.offset, module.decode(torch.zeros(1, N).double())[0].float())
    quality = measure_quality(dictionary, [X])
    assert quality.mse == pytest.approx(float((wanted - X).square().mean()), rel=1e-5)
    assert set(dictionary.state_dict()) == {"W_dec", "b_dec", "code_scale"}


def test_pairs_of_values_and_indices_are_codes_too() -> None:
    top = CODES.topk(K)
    source = SimpleNamespace(directions=W_DEC.numpy(), encode=lambda x: CODES[: len(x)].topk(K))
    dictionary = adapt(source)
    wanted = torch.zeros_like(CODES).scatter(1, top.indices, top.values) * W_DEC.norm(dim=1)
    torch.testing.assert_close(dictionary.encode(X).to_dense(N), wanted)
    torch.testing.assert_close(dictionary.offset, torch.zeros(D))


def test_sparse_matrices_are_codes_too() -> None:
    dictionary = adapt(Own(encode=lambda x: torch.relu((x - B_DEC) @ W_ENC).to_sparse()))
    torch.testing.assert_close(dictionary.encode_dense(X), CODES * W_DEC.norm(dim=1))


def test_directions_of_zeros_add_nothing_and_flags_are_taken_over() -> None:
    dictionary = adapt(Own(W_dec=torch.cat([torch.zeros(1, D), W_DEC[1:]]), is_dense=True, is_signed=True))
    assert dictionary.is_dense and dictionary.is_signed
    assert bool((dictionary.encode_dense(X)[:, 0] == 0).all())
    torch.testing.assert_close(dictionary(X), CODES[:, 1:] @ W_DEC[1:] + B_DEC)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SimpleNamespace(W_dec=W_DEC), "no `encode`"),
        (SimpleNamespace(encode=lambda x: x), "no decoder directions, as `W_dec` or `directions`"),
        (Own(W_dec=W_DEC[0]), r"`W_dec` of shape \(6,\)"),
        (Own(W_dec="none"), "`W_dec` that is or gives a str"),
        (Own(W_dec=W_DEC * float("inf")), "values in `W_dec` that are not finite"),
        (Own(b_dec=torch.zeros(4)), r"`b_dec` of shape \(4,\)"),
        (Own(encode=lambda x: x), r"an `encode` that gives \(3, 6\) where \(3, 10\) is wanted"),
        (Own(encode=lambda x: None), "`encode` that is or gives a NoneType"),
        (Own(encode=lambda x: 1 / 0), r"an? `encode` that fails on \(3, 6\) \(ZeroDivisionError: division by zero\)"),
        (Own(encode=lambda x: x @ W_ENC / 0), "codes are not finite"),
        (Own(encode=lambda x: (x, x)), "two things which are no values and indices"),
        (Own(encode=lambda x: (x, torch.full(x.shape, N))), "indices beyond its 10 directions"),
        (Own(b_dec=None, decode=lambda codes: codes), r"a `decode` that gives \(1, 10\) where \(1, 6\) is wanted"),
    ],
)
def test_what_is_no_dictionary_is_one_line(source: Any, message: str) -> None:
    with pytest.raises(DictionaryObjectError, match=message) as caught:
        adapt(source)
    assert "\n" not in str(caught.value)


def test_files_hold_the_directions_and_want_the_object_again(tmp_path: Path) -> None:
    dictionary = adapt(Own())
    loaded: Any = load_dictionary(save_dictionary(dictionary, tmp_path / "d"))
    assert torch.equal(loaded.directions, dictionary.directions)
    assert torch.equal(loaded.offset, dictionary.offset)
    with pytest.raises(DictionaryObjectError, match="a 'Own', whose encoder is in no file; give the object"):
        loaded.encode(X)
    with pytest.raises(DictionaryObjectError, match="other weights than the 'Own'"):
        loaded.attach(Own(threshold=np.ones(N)))
    loaded.attach(Own())
    assert torch.equal(loaded.encode_dense(X), dictionary.encode_dense(X))
    for format in ("saelens", "sparsify"):
        with pytest.raises(DictionaryExportError, match="Own dictionary"):
            export_dictionary(dictionary, tmp_path / format, format=format)


def test_our_own_kinds_need_no_adapter() -> None:
    dictionary = build_dictionary(DictionaryConfig(kind="topk", n_features=N, k=K), d_in=D, seed=0)
    assert adapt(dictionary) is dictionary
