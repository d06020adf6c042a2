"""`dictionaries` brings files in, shows them and writes them out; what cannot be done is one line and exit code 2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from autointerp.cli.dictionary_commands import EXPORT_FORMATS, FORMATS
from autointerp.cli.main import _run
from autointerp.runs.layout import RunLayout
from sae_core.checkpoint import load_dictionary, read_metadata, save_dictionary
from sae_core.foreign import reading, writing

FIXTURES = Path(__file__).parent.parent / "sae_core" / "foreign" / "fixtures"


def test_the_help_names_every_format() -> None:
    assert FORMATS.split(", ") == ["auto", *reading.FORMATS]
    assert EXPORT_FORMATS.split(", ") == list(writing.EXPORT_FORMATS)


@pytest.mark.parametrize("case", ["saelens/topk", "sparsify/skip", "dictionary_learning/gated"])
def test_import_writes_our_format_with_the_origin(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dest = tmp_path / "new" / "d"
    assert _run(["dictionaries", "import", str(FIXTURES / case), str(dest)]) == 0
    assert str(dest) in capsys.readouterr().out
    wanted = load_file(FIXTURES / case / "expected.safetensors")
    torch.testing.assert_close(load_dictionary(dest)(wanted["x"]), wanted["reconstruction"], rtol=1e-5, atol=1e-5)
    origin = read_metadata(dest)["imported_from"]
    assert origin["format"] == case.partition("/")[0]


def test_import_tells_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = FIXTURES / "dictionary_learning" / "batchtopk_unset" / "ae.pt"
    words = ["dictionaries", "import", str(source), str(tmp_path / "d"), "--format", "dictionary_learning", "--json"]
    assert _run(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kind"], facts["n_features"], facts["d_in"]) == ("batchtopk", 16, 8)
    assert "never set" in facts["notes"][0]


def test_inspect_shows_foreign_files_and_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = FIXTURES / "saelens" / "matryoshka"
    assert _run(["dictionaries", "inspect", str(foreign), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["format"], facts["architecture"], facts["kind"]) == ("saelens", "matryoshka_batchtopk", "matryoshka")
    assert (facts["k"], facts["prefixes"], facts["n_features"]) == (3, [4, 8, 16], 16)
    assert facts["threshold"] == pytest.approx(0.7)
    assert facts["decoder_norm"]["min"] < 1 < facts["decoder_norm"]["max"]
    assert facts["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    assert _run(["dictionaries", "import", str(foreign), str(tmp_path / "d")]) == 0
    capsys.readouterr()
    assert _run(["dictionaries", "inspect", str(tmp_path / "d"), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    assert (own["format"], own["kind"], own["k"]) == ("autointerp", "matryoshka", 3)
    assert own["threshold"] == pytest.approx(0.7)
    assert own["metadata"]["model_name"] == "small"
    assert _run(["dictionaries", "inspect", str(FIXTURES / "sparsify" / "transcoder")]) == 0
    out = capsys.readouterr().out
    assert "n_zero_directions        1" in out
    assert "topk transcoder" in out


def test_inspect_counts_rows_that_cannot_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(FIXTURES / "dictionary_learning" / "autoencoder", tmp_path / "d")
    state = torch.load(tmp_path / "d" / "ae.pt", weights_only=True)
    state["encoder.weight"][:2] = 0
    state["encoder.bias"][0], state["encoder.bias"][1] = -1.0, 1.0
    state["decoder.weight"][:, 5] = state["decoder.weight"][:, 6]
    state["decoder.weight"][:, 7] = 0
    torch.save(state, tmp_path / "d" / "ae.pt")
    assert _run(["dictionaries", "inspect", str(tmp_path / "d"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    # Feature 7 adds nothing, so that its encoder row is empty here as well.
    assert (facts["n_silent_rows"], facts["n_repeated_directions"], facts["n_zero_directions"]) == (2, 1, 1)


def test_export_writes_for_another_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = FIXTURES / "sparsify" / "normalised"
    assert _run(["dictionaries", "export", str(source), str(tmp_path / "out"), "--format", "saelens"]) == 0
    assert str(tmp_path / "out") in capsys.readouterr().out
    cfg = json.loads((tmp_path / "out" / "cfg.json").read_text())
    assert (cfg["architecture"], cfg["k"], cfg["metadata"]["hook_name"]) == ("topk", 3, "normalised")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["inspect", "{tmp}/nowhere"], ["nowhere: missing"]),
        (["inspect", "{fixtures}/sparsify"], ["holds 6 dictionaries; give one of them"]),
        (["inspect", "{fixtures}/saelens/topk", "--format", "sparse"], ["'sparse'", "did you mean 'sparsify'?"]),
        (["inspect", "{fixtures}/saelens/topk", "--format", "sparsify"], ["expansion_factor missing"]),
        (["import", "{fixtures}/saelens/topk", "{fixtures}/saelens"], ["exists and is not empty"]),
        (["import", "{own}", "{tmp}/new"], ["is in this project's format already"]),
        (["export", "{fixtures}/saelens/gated", "{tmp}/new", "--format", "sparsify"], ["cannot hold a gated"]),
        (["export", "{fixtures}/sparsify/groupmax", "{tmp}/new", "--format", "saelens"], ["for a groupmax"]),
        (["export", "{own}", "{tmp}/new", "--format", "onnx"], ["'onnx': must be one of saelens, sparsify"]),
        (["export", "{own}", "{own}", "--format", "saelens"], ["exists and is not empty"]),
    ],
)
def test_a_users_error_is_one_line(
    words: list[str], parts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own"
    assert _run(["dictionaries", "import", str(FIXTURES / "saelens" / "standard"), str(own)]) == 0
    capsys.readouterr()
    filled = [word.format(tmp=tmp_path, fixtures=FIXTURES, own=own) for word in words]
    assert _run(["dictionaries", *filled]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    for part in parts:
        assert part in err


def test_quality_of_a_run_and_its_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = RunLayout(tmp_path / "run")
    layout.dictionary("sae").mkdir(parents=True)
    facts = {"kind": "topk", "n_features": 8, "l0": 3.25, "fvu": 0.25, "explained_variance": 0.75, "dead_frac": 0.125}
    layout.quality("sae").write_text(json.dumps(facts))
    assert _run(["dictionaries", "quality", str(layout.root), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["dictionary"] == "sae"
    assert _run(["dictionaries", "quality", str(layout.root), "--format", "yaml"]) == 2
    assert "use one of table, md, csv, json" in capsys.readouterr().err
    assert _run(["dictionaries", "quality", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_file_says_of_itself_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = reading.read_foreign(FIXTURES / "saelens" / "topk").dictionary
    save_dictionary(source, tmp_path / "d", metadata={"model_name": "gpt\x1b[2J\x1b]0;owned\x07\nfeatures: 9 \u202e"})
    for words in ([], ["--json"]):
        assert _run(["dictionaries", "inspect", str(tmp_path / "d"), *words]) == 0
        text = capsys.readouterr().out
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
        assert "\nfeatures: 9" not in text
