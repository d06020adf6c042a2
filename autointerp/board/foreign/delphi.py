"""delphi's score folders as entries: its F1, and F1 with the lost answers it leaves out (files of 0.1.x)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.board.foreign.entry import make_foreign_entry
from autointerp.errors import ArtefactError, InputError, UnreadableFile
from autointerp.small_files import read_json
from autointerp.stats.confusion import Confusion
from autointerp.stats.metrics import auroc, balanced_accuracy, f1

__all__ = ["TOOL", "DelphiLatent", "read_delphi", "read_latent"]

TOOL = "delphi"
_NAME = re.compile(r"(.+)_latent(\d+)\.txt")
_THRESHOLD = 0.5
_CONFIG_KEYS = ("explainer_provider", "num_examples_per_scorer_prompt", "seed")


@dataclass(frozen=True, slots=True)
class DelphiLatent:
    """The answers about one latent, counted, and labels with known probabilities."""

    counts: Confusion
    labels: tuple[bool, ...]
    probabilities: tuple[float, ...]


def read_delphi(path: Path) -> list[dict[str, Any]]:
    """One entry per scorer and hookpoint of a run's folder, or its `scores` folder.

    `f1` counts a lost answer as wrong, `f1_lenient` leaves it out. Raises InputError without scores, ArtefactError for
    a damaged file.
    """
    scores = path / "scores" if (path / "scores").is_dir() else path
    config = _read_config(scores.parent / "run_config.json")
    entries = []
    folders = sorted(folder for folder in scores.iterdir() if folder.is_dir()) if scores.is_dir() else []
    for folder in folders:
        groups: dict[str, list[DelphiLatent]] = {}
        for file in sorted(folder.glob("*.txt")):
            named = _NAME.fullmatch(file.name)
            if named and (latent := read_latent(file)) is not None:
                groups.setdefault(named[1], []).append(latent)
        entries += [_entry(name, folder.name, latents, config) for name, latents in sorted(groups.items())]
    if not entries:
        raise InputError(f"{path}: no scores of delphi (scores/SCORER/HOOKPOINT_latentN.txt with windows) are there")
    return entries


def read_latent(file: Path) -> DelphiLatent | None:
    """One score file; None for scorers without answers about windows. Raises ArtefactError if damaged."""
    try:
        windows = read_json(file)
    except UnreadableFile as error:
        raise ArtefactError(f"{error}; delphi would skip it: delete it or score it again") from None
    if not isinstance(windows, list) or not all(isinstance(w, dict) for w in windows):
        raise ArtefactError(f"{file}: not a list of windows, as delphi's score files are")
    if not all("activating" in window and "prediction" in window for window in windows):
        return None
    cells = Counter(cell for window in windows for cell in _cells(bool(window["activating"]), window["prediction"]))
    known = [w for w in windows if w.get("probability") is not None]
    labels, probabilities = (tuple(w[key] for w in known) for key in ("activating", "probability"))
    return DelphiLatent(Confusion(**cells), tuple(map(bool, labels)), tuple(map(float, probabilities)))


def _cells(fires: bool, prediction: float | bool | None) -> tuple[str, ...]:
    if prediction is None:
        return ("lost_positive" if fires else "lost_negative", "unparsed")
    if prediction >= _THRESHOLD:
        return ("true_positive" if fires else "false_positive",)
    return ("false_negative" if fires else "true_negative",)


def _entry(hookpoint: str, scorer: str, latents: Sequence[DelphiLatent], config: Mapping[str, Any]) -> dict[str, Any]:
    counts = [latent.counts for latent in latents]
    # delphi's own way: lost answers left out, and 0 where no firing window is left
    own = [f1(c.lenient()) or 0.0 for c in counts]
    strict = [value for c in counts if (value := f1(c.strict())) is not None]
    pooled = f1(sum(counts, start=Confusion()).lenient()) or 0.0
    n_lost, n = sum(c.n_lost for c in counts), sum(c.n for c in counts)
    balanced = [value for c in counts if (value := balanced_accuracy(c.strict())) is not None]
    areas = [a for latent in latents if (a := auroc(latent.labels, latent.probabilities)) is not None]
    mean = sum(strict) / len(strict) if strict else 0.0
    note = f"delphi's own F1 is {pooled:.3f} pooled over windows, {sum(own) / len(own):.3f} as the mean over latents; "
    if n_lost:
        note += f"both leave {n_lost:,} of {n:,} answers out that were lost. Counted as wrong, the mean is {mean:.3f}."
    else:
        note += "no answer was lost, so ours is the same mean."
    return make_foreign_entry(
        tool=TOOL,
        name=hookpoint,
        scorer=scorer,
        judge=str(config.get("explainer_model", "unknown")),
        metric="f1",
        values={"f1": strict, "f1_lenient": own, "balanced_accuracy": balanced, "auroc": areas},
        n_sampled=len(latents),
        counts=counts,
        protocol={"delphi": _settings(config), "delphi_f1": {"pooled": pooled, "mean": sum(own) / len(own)}},
        note=note,
    )


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {key: config[key] for key in ("sampler_cfg", "constructor_cfg") if isinstance(config.get(key), dict)}
    return sections | {key: config[key] for key in _CONFIG_KEYS if key in config}


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path)
    except UnreadableFile as error:
        if error.is_missing:
            return {}
        raise ArtefactError(f"{error}; delete it to go without") from None
    return config if isinstance(config, dict) else {}
