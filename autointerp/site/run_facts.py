"""Where a run's figures come from: what a reader needs to cite it and to make it again."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from autointerp.config.loading import render_config
from autointerp.run import Run
from autointerp.safe_text import safe_tree, without_folders

__all__ = ["RunFacts", "facts_of"]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run, named as on the board. `kinds` are of its dictionaries by entry, `shown` is for a table."""

    label: str
    subject: str
    kinds: Mapping[str, str]
    shown: Mapping[str, str]
    citation: str
    command: str
    config: str


def facts_of(label: str, run: Run) -> RunFacts:
    """Nothing of this machine's folders, addresses or keys is in them."""
    config, stages = run.config, run.manifest["stages"] if run.layout.is_run() else {}
    manifest = run.manifest if run.layout.is_run() else {}
    trained = stages.get("train", {})
    subject, corpus = without_folders(config.subject.model), without_folders(config.corpus.path)
    judges = dict.fromkeys(map(without_folders, (config.explain.judge, *config.score.judges)))
    prompts = {**stages.get("explain", {}).get("prompt_hashes", {}), **stages.get("score", {}).get("prompt_hashes", {})}
    version = manifest.get("packages", {}).get("autointerp", "unknown")
    commit, date = (manifest.get("git") or "")[:12], _date(run)
    shown = {
        "subject": subject,
        "corpus": f"{corpus} ({trained['corpus_hash'][:12]})" if trained.get("corpus_hash") else corpus,
        "training tokens": _tokens(trained.get("training_tokens", {})),
        "evidence tokens": _tokens(stages.get("harvest", {}).get("evidence_tokens", {})),
        "judges": ", ".join(judges),
        "prompts": ", ".join(f"{name} {digest}" for name, digest in prompts.items()),
        "date": date,
        "version": f"{version} ({commit})" if commit else version,
    }
    folder = label.rpartition("/")[2]
    cited = [f"autointerp {shown['version']}", f"run {label}", f"subject {subject}", f"corpus {shown['corpus']}"]
    return RunFacts(
        label=label,
        subject=subject,
        kinds={entry.name: entry.kind for entry in config.dictionaries},
        shown={name: value for name, value in shown.items() if value},
        citation=", ".join([*cited, f"judges {shown['judges']}", *([date] if date else [])]) + ".",
        command=f"autointerp run {folder}.toml --out results/runs/{folder}",
        config=_config(run),
    )


def _tokens(by_name: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in by_name.items())


def _date(run: Run) -> str:
    """The day of the last reply."""
    if not run.layout.journal.is_file():
        return ""
    with run.open_journals() as view:
        (last,) = next(view.query("SELECT max(at) FROM replies"))
    return "" if last is None else time.strftime("%Y-%m-%d", time.gmtime(last))


def _config(run: Run) -> str:
    """The config as TOML, without folders, and without the judges' options: addresses may be private."""
    tree = tomllib.loads(render_config(run.config))
    tree.pop("judges", None)
    return tomli_w.dumps(safe_tree(_without_folders(tree)))


def _without_folders(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return without_folders(value) if isinstance(value, str) else value
