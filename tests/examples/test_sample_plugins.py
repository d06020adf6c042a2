"""The sample package is installed by pip, found, checked and used; a broken neighbour does no harm until named."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autointerp.config.asking import ScoreConfig
from autointerp.config.loading import parse_config, render_config
from autointerp.errors import ConfigError
from autointerp.records.evidence_file import write_evidence
from autointerp.records.planted import plant_evidence
from autointerp.runs.layout import RunLayout
from autointerp.seeds import stream

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample_plugins"
MODULES = sorted((SAMPLE / "autointerp_sample_plugins").glob("*.py"))

CALLS = """
import contextlib, io, json, sys
from autointerp.cli.main import _run
found = []
for words in json.loads(sys.stdin.read()):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        from autointerp.cli import display
        display.stderr.file = err
        code = _run(words)
    loaded = sorted(name for name in sys.modules if name.startswith(("autointerp_sample", "broken_plugins")))
    found.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "loaded": loaded})
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str
    loaded: list[str]


@dataclass(frozen=True)
class Place:
    """A folder with the plug-ins installed in it and a run whose evidence is planted."""

    site: Path
    run: Path
    runs: Path

    def call(self, *commands: list[str]) -> list[Called]:
        """What the commands give, one after another in one process that has the plug-ins on its path."""
        done = subprocess.run(
            [sys.executable, "-c", CALLS],
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            timeout=170,
            cwd=self.runs,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{self.site}",
                "COLUMNS": "100",
                "OMP_NUM_THREADS": "1",
            },
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [Called(**called) for called in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("plugins")
    site = root / "site"
    shutil.copytree(SAMPLE, root / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", site]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, install), str(root / "source")],
        check=True,
        capture_output=True,
        timeout=170,
    )
    install_broken(site)
    run = RunLayout(root / "results/runs/demo")
    run.evidence.mkdir(parents=True)
    tree = {"name": "demo", "dictionaries": [{"name": "planted", "kind": "relu", "n_features": 8}]}
    run.config.write_text(render_config(parse_config(tree)))
    write_evidence(run.evidence_file("planted"), [plant_evidence(feature) for feature in range(8)])
    return Place(site, run.root, root)


def install_broken(site: Path) -> None:
    """A package whose module cannot be imported, with a plug-in of each kind."""
    (site / "broken_plugins.py").write_text("import subprocess\nraise subprocess.SubprocessError('no')\n")
    info = site / "broken_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugins\nVersion: 1.0\n")
    groups = [f"[autointerp.{kind}s]\nbroken = broken_plugins:make\n" for kind in ("judge", "explainer", "scorer")]
    (info / "entry_points.txt").write_text("\n".join(groups))


def readme_commands(place: Place) -> list[list[str]]:
    """The commands of the sample's README, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (SAMPLE / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("autointerp ")]


def test_the_readmes_commands_find_check_and_use_the_plugins(place: Place) -> None:
    commands = readme_commands(place)
    assert [" ".join(words[:2]) for words in commands[:4]] == ["judges list", *["judges check"] * 3]
    assert commands[4][0] == "rescore"
    listed, *checked, scored, explained = place.call(*commands)
    assert listed.code == 0
    for name in ("keyword", "top-token", "last-token", "halves"):
        assert re.search(rf"^{name} [ ?]+autointerp-sample-plugins", listed.out, flags=re.MULTILINE)
    assert listed.loaded == []
    for called in checked:
        assert called.code == 0, called.out
        assert ", 0 broken," in called.out
    assert scored.code == 0, scored.err
    assert "scorer last-token, explainer top-token, judge keyword" in scored.out
    summary = json.loads((place.runs / "results/runs/sample/summary.json").read_text())
    (entry,) = summary["entries"]
    assert (entry["judge"], entry["explainer"], entry["scorer"]) == ("keyword", "top-token", "last-token")
    assert entry["n_scored"] == 8
    assert (entry["protocol"]["scorer"]["n_before"], entry["protocol"]["scorer"]["n_positive"]) == (8, 20)
    assert "**`n_before`** (whole number, ≥ 0; left out by default): Tokens shown before" in explained.out
    assert entry["unparsed_frac"] == entry["error_frac"] == 0.0
    assert entry["f1"]["mean"] > 0.9  # the planted features fire on one word, which the explainer shows
    assert "broken_plugins" not in {name for called in (listed, *checked, scored, explained) for name in called.loaded}


def test_a_plugin_is_loaded_when_it_is_named_and_says_what_it_can_do(place: Place) -> None:
    before, named, as_json, wrong = place.call(
        ["judges", "list", "--json"],
        ["judges", "list", "keyword", "--option", "ignore_case=true"],
        ["judges", "list", "keyword", "--json"],
        ["judges", "list", "keyword:tiny"],
    )
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in json.loads(before.out)}
    assert rows["keyword"]["abilities"] is None
    assert rows["keyword"]["distribution"] == "autointerp-sample-plugins"
    assert before.loaded == []
    assert 'variant = "ignore_case=True"' in named.out
    assert "autointerp_sample_plugins.judge" in named.loaded
    (row,) = json.loads(as_json.out)
    assert row["abilities"]["local"] == "yes"
    assert row["capabilities"]["model"] == "keyword-1"
    assert wrong.code == 2
    assert wrong.err.startswith("error: judge 'keyword:tiny': ")


WRONG = (
    ('score.scorers=[{name="last-token", n_befor=8}]', "score.scorers.last-token.n_befor"),
    ('score.scorers=[{name="last-token", n_before=-1}]', "score.scorers.last-token.n_before = -1"),
    ('score.scorers=[{name="last-token", label="short", heading="f1"}]', "score.scorers.short: 'last-token'"),
    ('explain.explainers=[{name="top-token", n_before="five"}]', "explain.explainers.top-token.n_before = 'five'"),
    ('explain.explainers=[{name="top-token", sampling="top"}]', "has no use for sampling = 'top'"),
    ('explain.explainers=[{name="best_of", candidates_of="top-token", n_befor=3}]', "did you mean 'n_before'?"),
    ("judges.keyword.ignore_cas=true", "judges.keyword.ignore_cas is no option; did you mean 'ignore_case'?"),
)
"""An override, and what is said of it."""


@pytest.fixture(scope="module")
def refused(place: Place) -> dict[str, Called]:
    start = ["rescore", str(place.run), "--out", "wrong", "--set", "score.judge=keyword", "--set"]
    return dict(zip(dict(WRONG), place.call(*([*start, entry] for entry, _ in WRONG)), strict=True))


@pytest.mark.parametrize(("entry", "said"), WRONG)
def test_a_wrong_setting_of_a_plugin_is_one_line(refused: dict[str, Called], entry: str, said: str) -> None:
    assert refused[entry].code == 2
    assert refused[entry].err.count("\n") == 1, refused[entry].err
    assert said in refused[entry].err


def test_a_setting_of_its_own_reaches_the_sample_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLE))
    module = importlib.import_module("autointerp_sample_plugins.scorer")
    evidence = plant_evidence()
    texts = {}
    for n_before in (None, 2):
        settings = module.LastTokenSettings(name="last-token", n_before=n_before)
        scorer = module.LastTokenScorer(settings, ScoreConfig())
        items = scorer.sample(evidence, stream(0, "t"), others=())
        texts[n_before] = [p.text for q in scorer.questions("e", items) for p in q.request.task.passages]
    assert all(whole.endswith(short) for whole, short in zip(texts[None], texts[2], strict=True))
    assert max(map(len, texts[2])) < max(map(len, texts[None]))


def test_a_broken_plugin_fails_when_it_is_named_with_the_name_of_its_distribution(place: Place) -> None:
    rescore = ["rescore", str(place.run), "--out", "other"]
    calls = place.call(
        ["judges", "list", "--all"],
        ["judges", "list", "broken"],
        ["judges", "check", "broken"],
        ["judges", "check", "broken", "--kind", "scorer"],
        [*rescore, "--set", "score.judge=broken"],
        [*rescore, "--set", 'explain.explainers=[{name="broken"}]'],
        [*rescore, "--set", 'score.scorers=[{name="broken"}]'],
    )
    listed, *broken = calls
    assert listed.code == 0
    assert len(re.findall(r"^broken [ ?]+broken-plugins", listed.out, flags=re.MULTILINE)) == 3
    for called in broken:
        assert called.code == 2
        assert called.err.count("\n") == 1, called.err
        assert (
            "'broken' of broken-plugins cannot be loaded from broken_plugins:make (SubprocessError: no)" in called.err
        )
        assert "uninstall broken-plugins" in called.err


def test_the_sample_dictionary_is_the_activations_by_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from sae_core.adapter import adapt

    monkeypatch.syspath_prepend(str(SAMPLE))
    factory = importlib.import_module("autointerp_sample_plugins.dictionary").open_dictionary
    (block,) = re.findall(r"^```toml\n(.*?)^```", (SAMPLE / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    (entry,) = parse_config(tomllib.loads(block)).dictionaries
    assert (entry.kind, entry.plugin) == ("plugin", "halves")
    dictionary = adapt(factory(entry.model_copy(update={"options": {"scale": 2}}), 5))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(dictionary(x), x)
    torch.testing.assert_close(dictionary.encode_dense(x), torch.cat([x, -x], dim=1).relu())
    assert dictionary.is_dense
    with pytest.raises(ConfigError, match=r"dictionaries\.halves\.options\.size"):
        factory(entry.model_copy(update={"options": {"size": 2}}), 5)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_the_sample_is_small_and_uses_public_names_only(module: Path) -> None:
    tree = ast.parse(module.read_text())
    n_lines = len([line for line in module.read_text().splitlines() if line.strip()])
    assert n_lines <= 60
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autointerp"):
            assert not any(alias.name.startswith("_") for alias in node.names)
