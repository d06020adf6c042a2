"""The manifest of a run: what made it, and which stages are finished. Its line for a stage is the only "done"."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from autointerp.config.loading import differing_keys, load_config, render_config
from autointerp.config.tree import Config
from autointerp.distribution import installed_version
from autointerp.errors import ArtefactError, ConfigError
from autointerp.runs.layout import RunLayout, write_text

__all__ = ["MANIFEST_SCHEMA", "Manifest", "begin_manifest", "open_run", "read_manifest", "refuse_changes"]

MANIFEST_SCHEMA = 1

PACKAGES = ("torch", "transformers", "transformer-lens", "datasets", "openai", "pandas", "pyarrow")


class Manifest:
    """The manifest file of one run, kept in step with the disk at every change."""

    def __init__(self, layout: RunLayout, content: dict[str, Any]) -> None:
        self._layout = layout
        self._content = content

    def is_done(self, stage: str) -> bool:
        return stage in self._content["stages"]

    def finish(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Write the stage's line. Everything the stage made must be on disk before."""
        self._content["stages"][stage] = dict(facts)
        self._write()

    def forget(self, *stages: str) -> None:
        """Take stages back, so that they run again."""
        for stage in stages:
            self._content["stages"].pop(stage, None)
        self._write()

    def facts(self, stage: str) -> dict[str, Any]:
        """What a finished stage recorded."""
        return dict(self._content["stages"].get(stage, {}))

    def noted(self, name: str) -> dict[str, Any]:
        """What was noted under `name`, beside the stages."""
        return dict(self._content.get(name, {}))

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keep facts beside the stages."""
        self._content[name] = dict(facts)
        self._write()

    def _write(self) -> None:
        write_text(self._layout.manifest, json.dumps(self._content, indent=2, sort_keys=True) + "\n")


def open_run(layout: RunLayout, config: Config, *, fresh: bool = False) -> Manifest:
    """Begin a run in `layout`, or go on with the one that is there.

    Raises ConfigError when the run that is there was made with another config (limits may differ), listing the
    differing keys, and ArtefactError when its files are damaged or of a foreign schema.
    """
    if fresh and layout.root.exists():
        _clear(layout)
    if layout.is_run():
        content = read_manifest(layout)
        # where nothing is finished there is nothing to protect: a mistake in the config may be mended in place
        if content["stages"] or layout.journal.exists():
            refuse_changes(layout, config)
            return Manifest(layout, content)
    write_text(layout.config, render_config(config))
    return begin_manifest(layout, config)


def begin_manifest(layout: RunLayout, config: Config, **facts: Any) -> Manifest:
    """Write the manifest of a run, or of a shard of one, of which nothing is done yet."""
    content = {
        "schema_version": MANIFEST_SCHEMA,
        "run": config.name,
        "seed": config.seed,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": _versions(),
        "git": _git_state(),
        "stages": {},
    }
    manifest = Manifest(layout, content | facts)
    manifest._write()
    return manifest


def read_manifest(layout: RunLayout) -> dict[str, Any]:
    """The manifest's content. Raises ArtefactError when it is missing, damaged or of a foreign schema."""
    path = layout.manifest
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["schema_version"]
        content["stages"].items()
    except OSError as error:
        raise ArtefactError(f"{layout.root} is no run: {path.name} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ArtefactError(f"{path} is damaged; delete the run's directory or use --fresh to start anew") from None
    if version != MANIFEST_SCHEMA:
        raise ArtefactError(
            f"{path} has schema version {version}, this autointerp reads {MANIFEST_SCHEMA}; "
            "use the autointerp that made it, or --fresh to start anew"
        )
    return content


def _clear(layout: RunLayout) -> None:
    """Delete all of a run but its lock, which is held."""
    found = [path for path in layout.root.iterdir() if path != layout.lock]
    if found and not layout.is_run():
        raise ConfigError(f"--fresh would delete {layout.root}, which is no run; choose another --out")
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def refuse_changes(layout: RunLayout, config: Config) -> None:
    """Raise ConfigError when the run was made with another config, limits aside, and say which keys differ."""
    if not layout.config.is_file():
        raise ArtefactError(f"{layout.config} is missing from the run; use --fresh to start anew")
    before = load_config(layout.config)
    free = {"limits": config.limits}
    changed = differing_keys(before.model_copy(update=free), config)
    if changed:
        raise ConfigError(
            f"run '{layout.root}' was made with another config; differing: {'; '.join(changed)}. "
            "Choose another --out, restore the values, or use --fresh to start anew"
        )


def _versions() -> dict[str, str]:
    own = installed_version()
    found = {} if own is None else {"autointerp": own}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_state() -> str | None:
    """The checkout's commit, with `+changes` when files differ from it; None outside a checkout."""
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
