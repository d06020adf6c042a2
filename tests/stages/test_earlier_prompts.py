"""A run begun before prompts had versions goes on with version 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.config.loading import load_config
from autointerp.errors import ConfigError
from autointerp.prompting.templates import joint_hash, load_prompt
from autointerp.run import Run
from autointerp.runs.layout import RunLayout
from tests.stages.harvested import make_config, make_run


def as_begun_before(layout: RunLayout) -> None:
    """Without the key, as the config of such a run."""
    text = layout.config.read_text()
    assert text.count("prompts = 1\n") == 1
    layout.config.write_text(text.replace("prompts = 1\n", ""))
    manifest = json.loads(layout.manifest.read_text())
    del manifest["config_sha256"], manifest["sha256"]
    layout.manifest.write_text(json.dumps(manifest))


def test_a_run_of_before_goes_on_and_keeps_its_prompts(tmp_path: Path) -> None:
    config = make_config("explain.judge='pattern'", "score.judge='pattern'", "score.prompts=1")
    layout = make_run(tmp_path / "run", config, n_features=3)
    pipeline.run(config, out=layout.root, last="explain")
    as_begun_before(layout)
    again = load_config(layout.config)
    pipeline.run(again, out=layout.root)
    run = Run(layout.root)
    assert run.stages == {"train", "harvest", "explain", "score", "report"}
    assert set(run.explanations["prompt_hash"]) == {
        joint_hash(load_prompt("explain/windows"), load_prompt("explain/reask"))
    }
    assert joint_hash(load_prompt("score/marked"), load_prompt("score/reask")) in set(run.verdicts["prompt_hash"])
    with pytest.raises(ConfigError, match=r"score\.prompts: 1 -> 2.*--set score\.prompts=2"):
        pipeline.run(make_config("explain.judge='pattern'", "score.judge='pattern'"), out=layout.root)
