"""The run commands: an option reaches the config's key that it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from autointerp import pipeline
from autointerp.cli import main, run_commands
from autointerp.config.loading import load_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError


@pytest.mark.parametrize("command", ["run", "train", "harvest", "explain", "score"])
@pytest.mark.parametrize("is_reusing", [True, False])
def test_no_reuse_turns_the_shared_replies_off(
    command: str, is_reusing: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Config] = []

    def stop(config: Config, **_: Any) -> None:
        seen.append(config)
        raise ConfigError("enough seen")

    monkeypatch.setattr(pipeline, "run", stop)
    assert main._run([command, "demo", *([] if is_reusing else ["--no-reuse"])]) == 2
    assert [config.limits.reuse for config in seen] == [is_reusing]


@pytest.mark.parametrize("name", ["it's", 'a "b"', "back\\slash", "plain", "naïve", "a = 'b'"])
def test_paths_and_names_reach_the_config_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Config] = []

    def stop(*arguments: Any, **_: Any) -> None:
        seen.append(next(argument for argument in arguments if isinstance(argument, Config)))
        raise ConfigError("enough seen")

    monkeypatch.setattr(pipeline, "run", stop)
    monkeypatch.setattr(pipeline, "rescore", stop)
    assert main._run(["run", "demo", "--cache", name]) == 2
    assert main._run(["demo", "--judge", name]) == 2
    monkeypatch.setattr(run_commands, "load_run_config", lambda _, overrides: load_config("demo", overrides))
    assert main._run(["rescore", "source", "--out", "plain", "--cache", name]) == 2
    assert [str(config.limits.cache) for config in seen] == [name, "None", name]
    assert (seen[1].explain.judge, seen[1].score.judge, seen[2].name) == (name, name, "plain")


def test_features_and_dictionaries_are_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Config] = []

    def stop(config: Config, **_: Any) -> None:
        seen.append(config)
        raise ConfigError("enough seen")

    monkeypatch.setattr(pipeline, "run", stop)
    assert main._run(["run", "demo", "--features", "8", "--dictionaries", "random,sae"]) == 2
    (config,) = seen
    assert config.harvest.n_features == 8
    assert [entry.name for entry in config.dictionaries] == ["sae", "random"]
    whole = load_config("demo")
    assert config.dictionaries == tuple(e for e in whole.dictionaries if e.name in ("sae", "random"))
    capsys.readouterr()
    assert main._run(["run", "demo", "--dictionaries", "sea"]) == 2
    assert "--dictionaries: there is no 'sea'; the config has neurons, " in capsys.readouterr().err
    assert main._run(["run", "demo", "--dictionaries", "neurons"]) == 2
    assert "match_density" in capsys.readouterr().err
