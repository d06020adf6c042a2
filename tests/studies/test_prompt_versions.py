"""The study of the prompts: paired with version 1, honest about judges that read none, and to be answered by file."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from autointerp.batch.importing import import_results
from autointerp.batch.lines import iter_lines
from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import load_run_config
from autointerp.studies.prompt_versions import (
    BASE,
    VARIANTS,
    compare,
    export_variants,
    prompt_sizes,
    require_variants,
    run_variants,
    write_study,
)
from tests.stages.harvested import make_config, make_run

QUIET = SilentProgress()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = make_config("explain.judge='pattern'", "score.judge='pattern'")
    return make_run(tmp_path_factory.mktemp("prompts") / "run", config, n_features=4).root


def test_a_judge_that_reads_no_prompt_is_moved_by_windows_alone(source: Path, tmp_path: Path) -> None:
    names = require_variants(["score-threshold", "version-2"])
    runs = run_variants(source, names, overrides=[], out=tmp_path, progress=QUIET)
    effects = compare(runs)
    assert {each.metric for each in effects} >= {"f1", "recall", "precision", "excess"}
    assert {each.dictionary for each in effects} == {"all", "neurons", "sae"}
    words = [each for each in effects if each.variant == "score-threshold"]
    assert words
    assert {each.difference for each in words} == {0.0}
    # and yet it was asked in other words, about the same windows
    hashes = [set(run.verdicts["prompt_hash"]) for run in runs.values()]
    assert hashes[0].isdisjoint(hashes[1])
    windows = [run.verdicts[["dictionary", "feature", "scorer", "control", "window"]] for run in runs.values()]
    assert windows[0].equals(windows[1])
    sizes = {(size.variant, size.scorer): size.tokens for size in prompt_sizes(runs)}
    assert sizes["score-threshold", ""] == sizes[BASE, ""] < sizes["version-2", ""]
    assert sizes["score-threshold", "detection"] > sizes[BASE, "detection"]
    page = write_study(runs, effects, out=tmp_path, command="autointerp study prompts run")
    assert "pattern reads no prompt" in page
    assert (tmp_path / "prompts.md").read_text() == page
    with (tmp_path / "prompts.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(effects)


def test_the_questions_of_both_versions_go_out_by_file_and_come_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    said = ['explain.judge="openai:m"', 'score.judge="openai:m"', "controls.shuffled=0.0"]
    names = require_variants(["scoring-2"])

    def ask() -> tuple[dict, dict[str, list[Path]]]:
        return export_variants(source, names, overrides=said, out=tmp_path, progress=QUIET)

    done, files = ask()
    assert not done
    assert files.keys() == set(names)
    answer(files, "[EXPLANATION]: fires", tmp_path)
    done, files = ask()
    assert not done
    counts = [sum(1 for path in paths for _ in iter_lines(path)) for paths in files.values()]
    assert counts[0] == counts[1] > 0
    answer(files, None, tmp_path)
    done, files = ask()
    assert (list(done), files) == (names, {})
    assert {each.difference for each in compare(done) if each.metric == "recall"} == {0.0}


def answer(files: dict[str, list[Path]], text: str | None, root: Path) -> None:
    """Answer every question with a text, or every window with 1."""
    for variant, paths in files.items():
        results = root / f"{variant}.jsonl"
        with results.open("w") as out:
            for line in (json.loads(raw.content) for path in paths for raw in iter_lines(path)):
                asked = re.search(r"Number of windows: (\d+)", line["body"]["messages"][-1]["content"])
                said = text or json.dumps({"answers": [1] * int(asked[1])})
                body = {
                    "id": "x",
                    "model": "m",
                    "choices": [{"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
                }
                row = {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
                out.write(json.dumps(row) + "\n")
        layout = RunLayout(root / "runs" / variant)
        import_results(load_run_config(layout), layout, [results])


def test_every_change_has_a_variant_of_its_own() -> None:
    assert len(VARIANTS) == len(set(VARIANTS.values()))
    assert {"explain-contrast", "score-threshold", "score-boundaries", "marks", "version-2"} <= VARIANTS.keys()


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(ConfigError, match="--variants version-3: no such variant"):
        require_variants(["version-3"])
