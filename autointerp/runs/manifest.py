"""Manifest of a run: its origin and finished stages. Only a stage's line means done."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from autointerp.config.loading import differing_keys, load_config, render_config
from autointerp.config.tree import Config
from autointerp.distribution import installed_version
from autointerp.errors import ArtefactError, ConfigError, UnreadableFile
from autointerp.runs.layout import RunLayout, write_text
from autointerp.small_files import read_json, read_text

__all__ = [
    "MANIFEST_SCHEMA",
    "Manifest",
    "begin_manifest",
    "load_run_config",
    "open_run",
    "read_manifest",
    "refuse_changes",
]

MANIFEST_SCHEMA = 1

_OWN = "sha256"
"""Digest of the rest of the manifest; all other digests rest on it."""
_CONFIG = "config_sha256"
_ASKING = ("explain.", "score.", "controls.", "judges.", "name:")
"""Keys that say what is asked of whom."""

PACKAGES = ("torch", "transformers", "transformer-lens", "datasets", "openai", "pandas", "pyarrow")


class Manifest:
    """Written to disk at every change."""

    def __init__(self, layout: RunLayout, content: dict[str, Any]) -> None:
        self._layout = layout
        self._content = content

    def is_done(self, stage: str) -> bool:
        return stage in self._content["stages"]

    def finish(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Write a stage's line; its results must be on disk."""
        self._content["stages"][stage] = dict(facts)
        self._write()

    def forget(self, *stages: str) -> None:
        """Let stages run again."""
        for stage in stages:
            self._content["stages"].pop(stage, None)
        self._write()

    def facts(self, stage: str) -> dict[str, Any]:
        return dict(self._content["stages"].get(stage, {}))

    def noted(self, name: str) -> dict[str, Any]:
        return dict(self._content.get(name, {}))

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        self._content[name] = dict(facts)
        self._write()

    def drop(self, name: str) -> None:
        if self._content.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        self._content[_OWN] = _digest(self._content)
        write_text(self._layout.manifest, json.dumps(self._content, indent=2, sort_keys=True) + "\n")


def open_run(layout: RunLayout, config: Config, *, fresh: bool = False) -> Manifest:
    """Begin or continue the run in `layout`.

    Raises ConfigError listing keys that differ from the run's config (limits and engine may), ArtefactError for damaged
    or foreign files.
    """
    if fresh and layout.root.exists():
        _clear(layout)
    if layout.is_run():
        content = read_manifest(layout)
        # where nothing is finished there is nothing to protect: a mistake in the config may be mended in place
        if content["stages"] or layout.journal.exists():
            refuse_changes(layout, config)
            return Manifest(layout, content)
    text = render_config(config)
    write_text(layout.config, text)
    return begin_manifest(layout, config, **{_CONFIG: _sha256(text)})


def begin_manifest(layout: RunLayout, config: Config, **facts: Any) -> Manifest:
    """Manifest without finished stages."""
    content = {
        "schema_version": MANIFEST_SCHEMA,
        "run": config.name,
        "seed": config.seed,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": dict(_versions()),
        "git": _git_state(),
        "stages": {},
    }
    manifest = Manifest(layout, content | facts)
    manifest._write()
    return manifest


def read_manifest(layout: RunLayout) -> dict[str, Any]:
    """Raises ArtefactError when missing, damaged or foreign."""
    path = layout.manifest
    fix = "put a copy of it back, or start anew in another --out (--fresh starts anew in this one)"
    try:
        content = read_json(path)
    except UnreadableFile as error:
        if error.is_missing:
            what = f"it has no {path.name}" if layout.root.exists() else "it does not exist"
            raise ArtefactError(f"{layout.root} is no run: {what}; name a folder given to --out") from None
        raise ArtefactError(f"{error}; {fix}") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != MANIFEST_SCHEMA:
        raise ArtefactError(
            f"{path} has schema version {version}, this autointerp reads {MANIFEST_SCHEMA}; "
            "use the autointerp that made it, or --fresh to start anew"
        )
    stages = content.get("stages")
    if not isinstance(stages, dict) or not all(isinstance(line, dict) for line in stages.values()):
        raise ArtefactError(f"{path} is damaged: 'stages' must hold a line per stage; {fix}")
    if content.get(_OWN, own := _digest(content)) != own:
        raise ArtefactError(
            f"{path} is damaged: not what was written (its own sha256 differs); put a copy of it back, or, if you "
            f"changed it yourself, delete its key '{_OWN}'"
        )
    return content


def load_run_config(layout: RunLayout, overrides: Iterable[str] = ()) -> Config:
    """Config of the run, with overrides.

    Raises ArtefactError for a missing run or changed config, ConfigError for a wrong override.
    """
    _require_config(layout)
    return load_config(layout.config, overrides)


def _require_config(layout: RunLayout) -> None:
    whole = RunLayout(layout.root)
    if not whole.config.exists() and not whole.is_run():
        what = f"it has no {whole.config.name}" if whole.root.exists() else "it does not exist"
        raise ArtefactError(f"{whole.root} is no run: {what}; name a folder given to --out")
    wanted = read_manifest(whole).get(_CONFIG) if whole.is_run() else None
    try:
        text = read_text(whole.config)
    except UnreadableFile as error:
        raise ArtefactError(f"{error}; {_config_fix(whole)}") from None
    if wanted is not None and _sha256(text) != wanted:
        raise ArtefactError(
            f"{whole.config} is not the one the run began with (its sha256 differs); {_config_fix(whole)}"
        )


def _config_fix(layout: RunLayout) -> str:
    return (
        f"put a copy of it back, or give the config that the run was begun with: `autointerp run CONFIG --out "
        f"{layout.root}` writes it anew"
    )


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != _OWN}
    # as it is read back: keys that are no strings become some
    return _sha256(json.dumps(json.loads(json.dumps(rest)), sort_keys=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _clear(layout: RunLayout) -> None:
    """Delete everything but the lock, which is held."""
    paths = [path for path in layout.root.iterdir() if path != layout.lock]
    if paths and not layout.is_run():
        raise ConfigError(f"--fresh would delete {layout.root}, which is no run; choose another --out")
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def refuse_changes(layout: RunLayout, config: Config) -> None:
    """Raise ConfigError listing differing keys, limits and engine aside."""
    try:
        before = load_run_config(layout)
    except (ArtefactError, ConfigError):
        text = render_config(config)
        if read_manifest(layout).get(_CONFIG) != _sha256(text):
            raise
        write_text(layout.config, text)  # the file was damaged, and this is what it was
        return
    free = {"limits": config.limits, "engine": config.engine}
    changed = differing_keys(before.model_copy(update=free), config)
    if changed:
        config_file, root = (shlex.quote(str(path)) for path in (layout.config, layout.root))
        raise ConfigError(
            f"run '{layout.root}' was made with another config; differing: {'; '.join(changed)}. "
            f"{_what_to_do(layout, changed)}; `autointerp run {config_file} --out {root}` goes on as it was"
        )


def _what_to_do(layout: RunLayout, changed: Sequence[str]) -> str:
    """Advice; the evidence is reusable where only questions differ."""
    if all(key.startswith(_ASKING) for key in changed) and layout.evidence.is_dir():
        options = " ".join(_option(key) for key in changed if not key.startswith("name:"))
        command = f"autointerp rescore {shlex.quote(str(layout.root))} --out OTHER {options}".rstrip()
        return f"`{command}` asks so about this evidence, in a run of its own"
    return "Choose another --out, restore the values, or use --fresh to start anew"


def _option(changed: str) -> str:
    """`key: before -> after` as a --set option; values of several words are left to the user."""
    key, _, values = changed.partition(": ")
    value = values.rpartition(" -> ")[2].strip("'")
    return f"--set {key}={value if re.fullmatch(r'[A-Za-z0-9_.:/+-]+', value) else '...'}"


@cache
def _versions() -> dict[str, str]:
    own = installed_version()
    versions = {} if own is None else {"autointerp": own}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def _git_state() -> str | None:
    """Commit, with `+changes` for a dirty checkout, of the code this process runs; None outside one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if commit.returncode != 0:
        return None
    return commit.stdout.strip() + ("+changes" if status.stdout.strip() else "")
