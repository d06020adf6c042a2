"""Subjects on several devices and in 8 bits: refused in a line where they cannot be, asked of transformers where they
can. No GPU takes part: the seam is `from_pretrained`, and a map of one CPU stands for one of many devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError
from autointerp.subject import model as subject_model
from autointerp.subject import placement
from autointerp.subject.model import Subject, load_subject
from autointerp.subject.placement import placement_options
from tests.integration.world import save_corpus, save_subject

CUDA = torch.device("cuda:1")
LAYER = 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("placed")
    return save_subject(folder / "tiny", save_corpus(folder / "corpus.jsonl", n_documents=20))


def _config(model: Path | str = "x", **keys: Any) -> SubjectConfig:
    return SubjectConfig.model_validate(
        {"model": str(model), "layer": LAYER, "site": "mlp_out", "context_tokens": 16, **keys}
    )


def _installed(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    monkeypatch.setattr(placement, "find_spec", lambda name: object() if name in libraries else None)


def test_without_either_key_nothing_is_asked() -> None:
    assert placement_options(_config(), torch.device("cpu")) == {}
    assert placement_options(_config(dtype="bfloat16"), CUDA) == {}


@pytest.mark.parametrize(
    ("keys", "libraries", "device", "message"),
    [
        ({"dtype": "int8"}, ("accelerate", "bitsandbytes"), "cpu", "subject.dtype = 'int8' needs a CUDA GPU"),
        ({"device_map": "auto"}, ("accelerate",), "cpu", "subject.device_map = 'auto' needs a CUDA GPU"),
        (
            {"dtype": "int8"},
            ("accelerate",),
            "cuda",
            "subject.dtype = 'int8' needs bitsandbytes, .*pip install bitsandbytes",
        ),
        ({"device_map": "auto"}, (), "cuda", "subject.device_map = 'auto' needs accelerate, .*pip install accelerate"),
        (
            {"dtype": "int8", "weights": "permuted"},
            ("accelerate", "bitsandbytes"),
            "cuda",
            "subject.weights = 'permuted': twins are made in float32",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    keys: dict[str, Any], libraries: tuple[str, ...], device: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(monkeypatch, *libraries)
    with pytest.raises(SubjectError, match=message) as caught:
        placement_options(_config(**keys), torch.device(device))
    assert "\n" not in str(caught.value)


def test_transformers_is_asked_for_8_bits_and_for_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, "accelerate", "bitsandbytes")
    assert placement_options(_config(device_map="auto"), CUDA) == {"device_map": "auto"}
    options = placement_options(_config(dtype="int8"), CUDA)
    assert options.pop("quantization_config").load_in_8bit
    assert options == {"device_map": {"": "cuda:1"}}
    both = placement_options(_config(dtype="int8", device_map="auto"), CUDA)
    assert both["device_map"] == "auto" and both["quantization_config"].load_in_8bit


def test_a_model_that_is_placed_by_a_map_is_read_as_another(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load_subject(_config(tiny), device="cpu")
    monkeypatch.setattr(subject_model, "placement_options", lambda config, device: {"device_map": {"": "cpu"}})
    placed = load_subject(_config(tiny, dtype="int8"), device="cpu")
    # nothing is moved or copied, and the manifest will name its numbers
    assert placed._plain is None and plain._plain is not None
    assert placed.dtype == torch.int8
    tokens = torch.arange(24).view(2, 12) + 3
    mask = torch.ones_like(tokens, dtype=torch.bool)
    point, read = SitePoint("mlp_out", LAYER), SitePoint("mlp_in", LAYER)

    def figures(subject: Subject) -> list[torch.Tensor]:
        return [
            *subject.activations(tokens, [point, read]).values(),
            subject.loss(tokens, mask),
            subject.spliced_loss(tokens, mask, point, torch.tanh, read=read),
            subject.logit_effects(point, torch.eye(3, 24)),
            subject.changed_logits(tokens),
        ]

    torch.testing.assert_close(figures(placed), figures(plain), rtol=1e-4, atol=1e-5)
    assert placed.content_hash() == plain.content_hash()


def test_a_model_that_is_handed_over_stays_as_it_is(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = load_subject(_config(tiny), device="cpu")
    monkeypatch.setattr(subject_model, "placement_options", lambda config, device: {"device_map": "auto"})
    with pytest.raises(SubjectError, match="for models loaded by name"):
        load_subject(_config(tiny, device_map="auto"), device="cpu", bridge=held.bridge, tokenizer=held.tokenizer)


def test_projections_in_8_bits_are_no_way_to_the_logits(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = load_subject(_config(tiny), device="cpu")

    def packed(block: Any, name: str) -> Any:
        raise NotImplementedError("cannot read the weight because its dtype is torch.int8")

    monkeypatch.setattr(subject_model, "_part", packed)
    with pytest.raises(SubjectError, match=r"subject.site = 'mlp_post' .*weights in 8 bits.*use one of resid_pre"):
        subject.check(SitePoint("mlp_post", 0))
    subject.check(SitePoint("mlp_in", 0))
