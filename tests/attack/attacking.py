"""Commands on a run that was damaged, in this process: what came out, held against what comes out of the whole run."""

from __future__ import annotations

import io
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from autointerp.cli.main import _run
from autointerp.errors import AutointerpError
from autointerp.run import Run
from autointerp.runs.digests import dictionary_files, require_files
from autointerp.runs.layout import RunLayout
from sae_core.errors import SaeCoreError
from tests.attack.mutations import mutate, targets
from tests.attack.target import DICTIONARIES, make_small, make_target

__all__ = ["Attack", "Found"]

ALARM_S = 30.0
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Found(NamedTuple):
    """What became of a command: `same` output as of the whole run, `refused` in one line, or what must
    not be: `different` output, `traceback`, `hang`, `wordy` (a refusal of several lines or with control characters)."""

    outcome: str
    command: str
    detail: str


class _Hang(BaseException):
    """A command took longer than any may."""


Words = Callable[[Path, Path], list[str]]
"""The words of a command on a run, and the folder it may write to."""

COMMANDS: dict[str, Words] = {
    "leaderboard": lambda run, out: ["leaderboard", str(run), "--format", "json"],
    "compare": lambda run, out: ["compare", str(run), "--json"],
    "quality": lambda run, out: ["dictionaries", "quality", str(run), "--format", "json"],
    "export": lambda run, out: ["export", str(run), "--to", "parquet", "--out", str(out / "export")],
    "journal": lambda run, out: ["journal", str(run), "--json"],
    "merge": lambda run, out: ["merge", str(run), "--json"],
    "report": lambda run, out: ["report", str(run)],
    "rescore": lambda run, out: [
        *("rescore", str(run), "--out", str(out / "rescored")),
        *("--set", "score.judge='coin'", "--set", "explain.judge='coin'"),
    ],
}


def _show_page(run: Path) -> dict[str, bytes]:
    """What `serve` serves."""
    return {"page": Run(run).page}


def _load_dictionaries(run: Path) -> dict[str, bytes]:
    """What the harvest reads of the dictionaries."""
    from autointerp.harvest.firing import FiringRules
    from sae_core.checkpoint import load_dictionary

    found = {}
    layout = RunLayout(run)
    for name in DICTIONARIES:
        require_files(layout, *dictionary_files(layout, name))
        folder = layout.dictionary(name)
        rules = FiringRules.load(folder)
        state = load_dictionary(folder).state_dict() | {"threshold": rules.threshold, "sign": rules.sign}
        found |= {f"{name}.{key}": tensor.numpy().tobytes() for key, tensor in state.items()}
    return found


CALLS: dict[str, Callable[[Path], dict[str, bytes]]] = {"page": _show_page, "harvest": _load_dictionaries}
"""What a command would read first that takes too long here, or does not end."""
_READERS = {
    "summary.json": ("leaderboard",),
    "scores.parquet": ("compare", "export"),
    "report.html": ("page",),
    "journal.sqlite": ("journal", "export", "merge", "report"),
    "evidence": ("merge", "export", "report"),
    "quality.json": ("quality", "report"),
    "dictionaries": ("harvest",),
    "shards": ("journal", "merge"),
}
"""The commands that read a file, by its name or its folder's; any other file is read by all of them."""
_EVERY = tuple(name for name in (*COMMANDS, *CALLS) if name != "rescore")
_RESCORED = {"evidence", "quality.json", "config.toml", "manifest.json"}
_REWRITTEN = {"summary.json", "scores.parquet", "shards"}
_SLOW_FRAC = 0.2
"""How often a slow command is tried that needs little of a file, or writes it anew."""
_QUICK = ("leaderboard", "export", "report", "page")


class Attack:
    """A whole run, another one of the same names, and a place where copies are damaged. A quick one has no shards, no
    prices and no weights, and less is asked of it."""

    def __init__(self, root: Path, *, is_quick: bool = False) -> None:
        if is_quick:
            self.whole = self.other = make_small(root / "whole").root
        else:
            self.whole = make_target(root / "whole").root
            self.other = make_target(root / "other", seed=1).root
        self.run, self.out = root / "run", root / "out"
        self._restore()
        self.expected = {name: self._do(name) for name in (_QUICK if is_quick else (*COMMANDS, *CALLS))}
        faults = [found for found in self.expected.values() if isinstance(found, Found)]
        assert not faults, faults

    def files(self) -> list[Path]:
        """The files to be damaged."""
        return targets(self.whole)

    def mutated(self, relative: Path, rng: Any) -> tuple[str, list[Found]]:
        """What was done to a file, and what became of every command."""
        self._restore()
        did = mutate(self.run, self.other, relative, rng)
        places = ("shards",) if relative.parts[0] == "shards" else (relative.name, relative.parts[0])
        readers = next((_READERS[place] for place in places if place in _READERS), _EVERY)
        slow = {"rescore": _RESCORED, "report": _REWRITTEN}
        readers += tuple(
            name for name, files in slow.items() if files.intersection(places) and rng.random() < _SLOW_FRAC
        )
        return did, [self._judge(name, self._do(name)) for name in readers if name in self.expected]

    def _restore(self) -> None:
        for folder in (self.run, self.out):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.whole, self.run)

    def _judge(self, name: str, found: Found | dict[str, Any]) -> Found:
        if isinstance(found, Found):
            return found
        expected = self.expected[name]
        assert not isinstance(expected, Found)
        changed = [part for part in expected if found[part] != expected[part]]
        return Found("different" if changed else "same", name, ", ".join(changed))

    def _do(self, name: str) -> Found | dict[str, Any]:
        """What a command printed and wrote, or how it failed."""
        out, err = io.StringIO(), io.StringIO()
        try:
            with _alarm(), redirect_stdout(out), redirect_stderr(err):
                if name in CALLS:
                    return CALLS[name](self.run)
                code = _run(COMMANDS[name](self.run, self.out))
        except (AutointerpError, SaeCoreError) as error:
            return Found("refused", name, str(error))
        except _Hang:
            return Found("hang", name, "")
        except BaseException as error:  # noqa: BLE001  # whatever comes through is what is looked for
            return Found("traceback", name, f"{type(error).__name__}: {error}")
        if code != 0:
            lines = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
            is_plain = code in (2, 3) and len(lines) == 1 and not _CONTROL.search(lines[0])
            is_last = is_plain and err.getvalue().strip().endswith(lines[0])
            return Found("refused" if is_last else "wordy", name, f"{code}: {err.getvalue().strip()}")
        printed = re.sub(r'"n_changed": \d+', "", out.getvalue())  # a row that is missing is merged once more
        return {"printed": printed, **self._written(name)}

    def _written(self, name: str) -> dict[str, bytes]:
        layouts = {"report": RunLayout(self.run), "rescore": RunLayout(self.out / "rescored")}
        if name == "export":
            return {path.name: path.read_bytes() for path in sorted((self.out / "export").iterdir())}
        if name not in layouts:
            return {}
        layout = layouts[name]
        return {path.name: path.read_bytes() for path in (layout.summary, layout.scores, layout.report)}


@contextmanager
def _alarm() -> Iterator[None]:
    """Within the block, end what takes too long."""

    def ring(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, ALARM_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
