"""A GGUF file is a subject like any other: the weights it was made of, its tokenizer and its chat template."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autointerp.config.tree import SubjectConfig
from autointerp.errors import ConfigError, InputError, SubjectError
from autointerp.judges.in_process.local import open_judge
from autointerp.pretrained import store
from autointerp.pretrained.gguf import convert_gguf, unpacked_gguf
from autointerp.subject.model import load_subject
from tests.pretrained import made
from tests.subject import kinds


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    return made.write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def quantised(tmp_path_factory) -> Path:
    return made.write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q4_1.gguf", quantised=True)


def test_weights_tokenizer_and_chat_template_come_back(plain: Path, cache: Path) -> None:
    folder = unpacked_gguf(plain)
    assert folder.is_relative_to(cache)
    wanted = made.tiny_llama().state_dict()
    found = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert found.dtype == torch.float32
    assert {name: weight.tolist() for name, weight in found.state_dict().items()} == {
        name: weight.tolist() for name, weight in wanted.items()
    }
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = " ".join(kinds.SENTENCES)
    assert tokenizer(text)["input_ids"] == kinds.byte_level()(text)["input_ids"]
    assert tokenizer.chat_template == made.CHAT_TEMPLATE
    assert [(token.content, token.special) for _, token in sorted(tokenizer.added_tokens_decoder.items())] == [
        ("<|endoftext|>", True),
        (made.SPECIAL, True),
    ]


@pytest.mark.usefixtures("cache")
def test_blocks_are_dequantised(quantised: Path) -> None:
    found = AutoModelForCausalLM.from_pretrained(unpacked_gguf(quantised)).state_dict()
    kind = gguf.GGMLQuantizationType.Q4_1
    embedding = made.tensors()["token_embd.weight"]
    rounded = gguf.dequantize(gguf.quantize(embedding, kind), kind)
    assert not np.array_equal(rounded, embedding)
    assert np.array_equal(found["model.embed_tokens.weight"].numpy(), rounded)


@pytest.mark.usefixtures("cache")
def test_a_file_is_a_subject_and_its_special_tokens_no_text(plain: Path) -> None:
    subject = load_subject(SubjectConfig(model=str(plain), layer=1, context_tokens=16), device="cpu")
    assert (subject.n_layers, subject.vocab_size, subject.bos_id) == (made.N_LAYERS, 301, 0)
    assert subject.special_ids == {0, 300}
    tokens = torch.randint(1, 300, (2, 16), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 16, dtype=torch.bool)
    with torch.no_grad():
        logits = made.tiny_llama()(tokens).logits[:, :-1]
    wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    assert torch.allclose(subject.loss(tokens, mask)[:, 1:].flatten(), wanted, atol=1e-5)


@pytest.mark.usefixtures("cache")
def test_a_file_is_a_local_judge(plain: Path, tmp_path: Path) -> None:
    judge = open_judge(str(plain), {})
    assert judge.capabilities.has_likelihoods and judge.capabilities.model == str(plain)
    with pytest.raises(ConfigError, match=r"judge local:.*absent\.gguf: .* does not exist"):
        open_judge(str(tmp_path / "absent.gguf"), {})


def test_the_same_content_is_converted_once(plain: Path, tmp_path: Path, cache: Path, monkeypatch) -> None:
    folder = unpacked_gguf(plain)
    monkeypatch.setattr("autointerp.pretrained.gguf.convert_gguf", None)
    moved = shutil.copy(plain, tmp_path / "moved.gguf")
    assert unpacked_gguf(moved) == folder
    assert [path.name for path in (cache / "autointerp" / "models").iterdir()] == [folder.name]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", store._RECORD])
def test_a_damaged_folder_is_made_anew(name: str, plain: Path) -> None:
    folder = unpacked_gguf(plain)
    content = (folder / name).read_bytes()
    for damage in (content[:-7], bytes([content[0] ^ 1]) + content[1:]):
        (folder / name).write_bytes(damage)
        assert unpacked_gguf(plain) == folder
        assert (folder / name).stat().st_size == len(content)
        assert name == store._RECORD or (folder / name).read_bytes() == content


def _cut(content: bytes) -> bytes:
    return content[: len(content) - 4096]


def _cut_in_header(content: bytes) -> bytes:
    return content[:500]


def _text(content: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\n"


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("damage", [_cut, _cut_in_header, _text, lambda content: b""])
def test_a_damaged_file_is_named(damage: Callable[[bytes], bytes], plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(damage(plain.read_bytes()))
    with pytest.raises(SubjectError, match="no GGUF file or damaged") as raised:
        load_subject(SubjectConfig(model=str(broken)), device="cpu")
    assert str(raised.value).startswith(f"subject.model = '{broken}': ")


@pytest.mark.usefixtures("cache")
def test_a_file_without_a_tensor_is_named(tmp_path: Path) -> None:
    path = made.write_gguf(tmp_path / "part.gguf", without="blk.1.ffn_up.weight")
    with pytest.raises(InputError, match=r"it lacks model\.layers\.1\.mlp\.up_proj\.weight"):
        unpacked_gguf(path)


@pytest.mark.usefixtures("cache")
def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = made.write_gguf(tmp_path / "other.gguf", architecture="clip")
    with pytest.raises(InputError, match="cannot read the architecture 'clip' from GGUF"):
        unpacked_gguf(path)


@pytest.mark.usefixtures("cache")
def test_a_disk_that_is_too_small_is_said(plain: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(InputError, match=r"needs 0\.1 GB in .*, where 0\.0 GB are free"):
        unpacked_gguf(plain)


@pytest.mark.usefixtures("cache")
def test_the_missing_package_is_named(plain: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(InputError, match="needs the package 'gguf'; run pip install"):
        unpacked_gguf(plain)


def test_of_two_at_once_the_first_wins(plain: Path, cache: Path) -> None:
    """The second finds the folder of the first when it moves its own into place."""

    def write_second(folder: Path) -> dict[str, str]:
        convert_gguf(plain, folder)
        store.keep("twice", lambda other: shutil.copytree(folder, other, dirs_exist_ok=True) and {"by": "first"})
        return {"by": "second"}

    folder = store.keep("twice", write_second)
    assert store.find_kept("twice") == folder and store.origin_of("twice") == {"by": "first"}
    assert [path.name for path in (cache / "autointerp" / "models").iterdir()] == ["twice"]
