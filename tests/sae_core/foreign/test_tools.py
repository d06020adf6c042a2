"""Files saved by SAELens, sparsify and dictionary_learning themselves: codes and outputs are the tools' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.description import kind_of
from sae_core.foreign.reading import detect_format, read_foreign

FIXTURES = Path(__file__).parent / "fixtures"
CASES = sorted(path.parent.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("expected.safetensors"))
KINDS = {
    "saelens/standard": "relu",
    "saelens/standard_layer_norm": "relu over layer_norm",
    "saelens/standard_constant_norm": "relu over constant_norm_rescale",
    "saelens/topk": "topk with scaled codes",
    "saelens/topk_rescaled": "topk",
    "saelens/abstopk_rescaled": "abstopk",
    "saelens/jumprelu_uncentred": "jumprelu",
    "saelens/gated": "gated",
    "saelens/matching_pursuit": "matching_pursuit",
    "saelens/batchtopk": "batchtopk",
    "saelens/batchtopk_unscaled": "jumprelu",
    "saelens/batchtopk_inference": "jumprelu",
    "saelens/matryoshka": "matryoshka",
    "saelens/transcoder": "relu transcoder",
    "saelens/jumprelu_skip_transcoder": "jumprelu transcoder over layer_norm",
    "sparsify/normalised": "topk",
    "sparsify/groupmax": "groupmax with scaled codes",
    "sparsify/skip": "topk with a skip",
    "sparsify/transcoder": "topk transcoder",
    "dictionary_learning/batchtopk_unset": "batchtopk",
    "dictionary_learning/matryoshka": "matryoshka",
    "dictionary_learning/autoencoder_new": "relu",
    "dictionary_learning/jumprelu": "jumprelu",
}


def test_every_architecture_of_the_formats_has_a_case() -> None:
    assert len(CASES) >= 45
    assert set(KINDS) <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_codes_and_output_are_the_tools_own(case: str, tmp_path: Path) -> None:
    place = FIXTURES / case
    wanted = load_file(place / "expected.safetensors")
    assert detect_format(place) == case.partition("/")[0]
    dictionary = load_dictionary(place)
    code = wanted["code"] * wanted["unit"]
    assert 0 < int((code != 0).sum()) < code.numel()
    torch.testing.assert_close(dictionary.encode_dense(wanted["x"]), code, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        dictionary.encode(wanted["x"]).to_dense(dictionary.n_features), code, rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(dictionary(wanted["x"]), wanted["reconstruction"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(dictionary.n_features))
    if case in KINDS:
        assert kind_of(dictionary) == KINDS[case]
    # Saved as our own, it is the same to the bit.
    loaded = load_dictionary(save_dictionary(dictionary, tmp_path / "own"))
    state = loaded.state_dict()
    for name, tensor in dictionary.state_dict().items():
        assert torch.equal(state[name], tensor), name
    assert torch.equal(loaded(wanted["x"]), dictionary(wanted["x"]))


@pytest.mark.parametrize("case", CASES)
def test_what_is_known_of_it_is_kept(case: str) -> None:
    found = read_foreign(FIXTURES / case)
    assert found.format == case.partition("/")[0]
    assert found.architecture
    assert "decoder_norm" in found.facts
    if case.startswith("saelens"):
        assert found.metadata["model_name"] == "small"
    if case.startswith("sparsify"):
        assert found.metadata["hook_name"] == case.partition("/")[2]
    if case.startswith("dictionary_learning"):
        known = {"model_name": "small", "layer": 1, "hook_name": "resid_post_layer_1"}
        assert found.metadata in (known, known | {"context_size": 128})


def test_notes_say_what_was_folded_or_is_missing(tmp_path: Path) -> None:
    assert "0.37" in read_foreign(FIXTURES / "saelens/scaled_standard").notes[0]
    assert "whitening" in read_foreign(FIXTURES / "saelens/whitened_standard_uncentred").notes[0]
    assert "norm_factor = 2.5" in read_foreign(FIXTURES / "dictionary_learning/backup").notes[0]
    assert "never set" in read_foreign(FIXTURES / "dictionary_learning/batchtopk_unset").notes[0]
    assert read_foreign(FIXTURES / "dictionary_learning/batchtopk").notes == ()
    for name in ("cfg.json", "sae_weights.safetensors"):
        (tmp_path / name).write_bytes((FIXTURES / "saelens/scaled_standard" / name).read_bytes())
    found = read_foreign(tmp_path)
    assert "read unscaled, as SAELens does" in found.notes[0]


def test_saelens_own_firing_frequencies_are_shown(tmp_path: Path) -> None:
    for name in ("cfg.json", "sae_weights.safetensors"):
        (tmp_path / name).write_bytes((FIXTURES / "saelens/standard" / name).read_bytes())
    frequency = torch.tensor([0.0, 0.0, *[0.1] * 14])
    save_file({"sparsity": (frequency + 1e-10).log10()}, tmp_path / "sparsity.safetensors")
    facts = read_foreign(tmp_path).facts
    assert facts["n_never_fired"] == 2
    assert facts["log10_density"]["max"] == pytest.approx(-1.0)


@pytest.mark.parametrize("file", ["cfg.json", "sae_weights.safetensors"])
def test_a_file_of_the_directory_may_be_given(file: str) -> None:
    assert read_foreign(FIXTURES / "saelens/standard" / file).architecture == "standard"


def test_silent_directions_of_zero_norm_add_nothing() -> None:
    found = read_foreign(FIXTURES / "sparsify/transcoder")
    assert found.facts["n_zero_directions"] == 1
    code = found.dictionary.encode_dense(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)) * 3)
    assert bool((code[:, 3] == 0).all())
