"""docs/tasks.md and the README can be pasted: every command and option exists, every config is one, and they run."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from autointerp import Run, pipeline
from autointerp.cli.config_reference import JUDGE_OPTIONS
from autointerp.cli.main import app
from autointerp.config.loading import load_config, parse_config, read_tree
from autointerp.judges.options import read_options
from autointerp.progress import SilentProgress
from autointerp.studies.paper import open_settings
from autointerp.studies.papers import PAPERS, open_paper
from tests.integration.commands import arguments, call
from tests.stages.harvested import FEATURES, make_config, make_run

ROOT = Path(__file__).resolve().parents[1]
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/tasks.md")}
TASKS = "docs/tasks.md"
COMMAND = get_command(app)
HEREDOC = re.compile(r"^cat > (\S+) <<'TOML'\n(.*?)^TOML\n", re.MULTILINE | re.DOTALL)


def shell(page: str) -> str:
    return "".join(re.findall(r"^```sh\n(.*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL))


def commands(page: str) -> list[list[str]]:
    """The words of each command of ours in the blocks that a page shows to be pasted."""
    text = HEREDOC.sub("", shell(page)).replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words[1:] for words in lines if words[:1] == ["autointerp"]]


def parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """A command's name and its parameters as the command line takes them. Raises a usage error for a wrong one."""
    command: Any = COMMAND
    context = command.make_context("autointerp", list(words))
    names = []
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        names.append(name)
        context = command.make_context(name, rest, parent=context)
    return " ".join(names), dict(context.params)


PASTED = [pytest.param(words, id=" ".join(words)[:70]) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize("words", PASTED)
def test_every_command_line_parses(words: list[str]) -> None:
    name, parameters = parse(words)
    assert name
    judge = parameters.get("name", "") if name == "judges check" else ""
    for option in parameters.get("options") or ():
        key, _, value = option.partition("=")
        read_options(judge.partition(":")[0], JUDGE_OPTIONS[judge.partition(":")[0]], {key: value})  # type: ignore[type-var]


def trees() -> dict[str, dict[str, Any]]:
    """The configs that commands write: here-documents, and what `init` makes of a recipe."""
    written = {name: tomllib.loads(text) for name, text in HEREDOC.findall(shell(TASKS))}
    return written | {"my_sae.toml": read_tree("own_sae")}


@pytest.mark.parametrize("words", [case for case in PASTED if "config" in parse(case.values[0])[1]])  # type: ignore[arg-type]
def test_every_config_and_setting_is_one(words: list[str]) -> None:
    command, parameters = parse(words)
    name, overrides = parameters["config"], parameters.get("overrides") or []
    if command == "study":
        if parameters["name"] in PAPERS:
            given = {"folder": Path("out"), "progress": SilentProgress(), "preset": parameters["preset"]}
            assert open_settings(open_paper(parameters["name"]), recipe=name, overrides=overrides, **given)
        return
    config = parse_config(trees()[name], overrides) if name in trees() else load_config(name, overrides)
    for judge, options in config.judges.items():
        read_options(judge, JUDGE_OPTIONS[judge], options)  # type: ignore[type-var]


def test_every_run_that_a_task_names_was_made_by_a_command_before() -> None:
    made: set[str] = set()
    for words in commands(TASKS):
        name, parameters = parse(words)
        named = [parameters.get(key) for key in ("run", "source", "first", "runs")]
        paths = [Path(str(path)) for one in named if one for path in (one if isinstance(one, list) else [one])]
        used = [path for path in paths if path.parts[:2] == ("results", "runs")]
        assert not [path for path in used if path.name not in made], words
        config = str(parameters.get("config", name)).removesuffix(".toml")
        made.add(Path(parameters.get("out") or config).name)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_what_a_finished_run_needs_no_model_for_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of planted features stands for the demo's, a free judge for others; of each command the first."""
    config = make_config("explain.judge='coin'", "score.judge='coin'", name="demo")
    make_run(Path("results/runs/demo"), config)
    pipeline.run(config, out=Path("results/runs/demo"))
    ran: set[str] = set()
    for words in commands(TASKS):
        name, _ = parse(words)
        is_of_the_demo = any(word.startswith("results/runs/demo") for word in words) and name not in ("serve", "steer")
        if name in ran or (name not in ("init", "plan") and not is_of_the_demo):
            continue
        words = [f"sae/{FEATURES[0]}" if word == "sae/60" else word for word in words]
        words = [re.sub(r"judge=.*", "judge=coin", word) for word in words]
        called = call(capsys, *words)
        assert called.code == 0, (words, called.err)
        ran.add(name)
    assert ran == {"init", "plan", "journal", "rescore", "judges agree"}


@pytest.mark.full
def test_the_tasks_of_a_model_run_in_a_tiny_world(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tasks 2 and 4 as pasted, with a free judge and small numbers set at the end of each line."""
    from autointerp.cli.main import _run
    from sae_core import DictionaryConfig, save_dictionary
    from sae_core.build import build_dictionary
    from tests.harvest.imported.caches import neuronpedia, save_delphi
    from tests.integration.world import save_corpus, save_subject

    texts = place / "my" / "texts"
    texts.mkdir(parents=True)
    save_subject(place / "my" / "model", save_corpus(texts / "corpus.jsonl"), n_layers=9)
    for seed, folder in enumerate(("sae", "other_sae", "third_sae")):
        made = build_dictionary(DictionaryConfig(kind="topk", n_features=32, k=4), d_in=24, seed=seed)
        save_dictionary(made, place / "my" / folder)
    (place / "cached").mkdir()
    cached = save_delphi(place / "cached")
    shutil.copytree(cached.run, place / "my" / "delphi")
    neuronpedia(place / "my" / "neuronpedia")
    for name, text in HEREDOC.findall(shell(TASKS)):
        (place / name).write_text(text, encoding="utf-8")
    small = arguments(
        "explain.judge=pattern", "score.judge=pattern", "harvest.n_features=4", "harvest.min_firing=5",
        "corpus.evidence_tokens=8000", "corpus.dictionary_tokens=2000", "subject.context_tokens=48",
    )  # fmt: skip
    done = set()
    for words in commands(TASKS):
        name, _ = parse(words)
        paths = " ".join(words)
        is_own = any(own in paths for own in ("my/", "my_sae", "three", "imported"))
        if not is_own or "oneill" in paths or name == "study":
            continue
        words = ["cached/tokenizer" if words[at - 1] == "--tokenizer" else word for at, word in enumerate(words)]
        more = small if name == "run" else arguments("harvest.min_firing=5") if name == "evidence import" else []
        more += arguments("explain.judge=pattern", "score.judge=pattern") if name == "rescore" else []
        assert _run([*words, *more]) == 0, (words, capsys.readouterr().err)
        done.add(name)
    assert done == {"dictionaries inspect", "init", "run", "evidence import", "rescore", "leaderboard", "compare"}
    assert set(Run("results/runs/three").leaderboard.index) == {"first", "second", "third", "random"}
    assert set(Run("results/runs/my_sae").leaderboard.index) == {"my_sae", "random"}
