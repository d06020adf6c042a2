"""SAEBench's autointerp results as entries: accuracy, with an always-no line.

Reads `*_eval_results.json` of `eval_type_id` autointerp; nothing is executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autointerp.board.foreign.entry import make_foreign_entry
from autointerp.errors import ArtefactError, InputError, UnreadableFile
from autointerp.small_files import read_json
from autointerp.stats.confusion import Confusion
from autointerp.stats.intervals import Interval
from autointerp.stats.metrics import balanced_accuracy, f1

__all__ = ["TOOL", "read_saebench"]

TOOL = "saebench"
EVAL_TYPE = "autointerp"
_FIRING_KEYS = ("n_top_ex_for_scoring", "n_iw_sampled_ex_for_scoring")
_SILENT_KEY = "n_random_ex_for_scoring"
_SETTINGS = ("dataset_name", "llm_context_size", "total_tokens", "scoring", "act_threshold_frac", "random_seed")
_Z95 = 1.959964


def read_saebench(path: Path) -> list[dict[str, Any]]:
    """An entry per result file, or per file of a folder. Raises InputError without files, ArtefactError for damage."""
    files = [path] if path.is_file() else sorted(path.rglob("*.json")) if path.is_dir() else []
    documents = [(file, document) for file in files if (document := _read(file)).get("eval_type_id") == EVAL_TYPE]
    if not documents:
        raise InputError(f"{path}: no autointerp results of SAEBench (JSON with eval_type_id 'autointerp') are there")
    return [_entry(file, document) for file, document in documents]


def _read(file: Path) -> dict[str, Any]:
    try:
        document = read_json(file)
    except UnreadableFile as error:
        raise ArtefactError(f"{error}; delete it or evaluate again") from None
    return document if isinstance(document, dict) else {}


def _entry(file: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    config = document.get("eval_config") or {}
    latents = [v for v in (document.get("eval_result_unstructured") or {}).values() if isinstance(v, dict)]
    try:
        scores = [float(latent["score"]) for latent in latents if latent.get("score") is not None]
        metrics = document["eval_result_metrics"]["autointerp"]
        stated = float(metrics["autointerp_score"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{file}: not a result of SAEBench's autointerp (no {error}); evaluate again") from None
    n_firing, n = sum(int(config.get(key, 0)) for key in _FIRING_KEYS), 0
    n = n_firing + int(config.get(_SILENT_KEY, 0))
    counts = [_count(latent, n) for latent in latents if n and "predictions" in latent]
    n_sampled = max(len(scores), int(config.get("n_latents") or 0))
    deviation = metrics.get("autointerp_std_dev")
    return make_foreign_entry(
        tool=TOOL,
        name="/".join(str(document[key]) for key in ("sae_lens_release_id", "sae_lens_id") if document.get(key))
        or file.stem,
        scorer=EVAL_TYPE,
        judge=str(config.get("llm_judge") or "gpt-4o-mini"),
        metric="accuracy",
        values={
            **({"accuracy": scores} if scores else {}),
            **_confusion_values(counts),
        },
        score=None if scores else _stated_interval(stated, deviation, n_sampled),
        n_sampled=n_sampled,
        counts=counts,
        chance=(n - n_firing) / n if n else None,
        protocol={"saebench": {key: value for key, value in config.items() if _is_setting(key)}},
        note=_note(stated, scores, n_sampled, chance=(n - n_firing) / n if n else None),
    )


def _is_setting(key: str) -> bool:
    return key.startswith("n_") or key in _SETTINGS


def _count(latent: Mapping[str, Any], n: int) -> Confusion:
    """Answers of one latent; SAEBench numbers examples from 1 and lists the called and the firing ones."""
    called, firing = (set(latent.get(key) or ()) for key in ("predictions", "correct seqs"))
    called, firing = (numbers & set(range(1, n + 1)) for numbers in (called, firing))
    right = len(called & firing)
    return Confusion(right, len(called) - right, len(firing) - right, n - len(called | firing))


def _confusion_values(counts: Sequence[Confusion]) -> dict[str, list[float]]:
    tables = [c.strict() for c in counts]
    by_metric = {"f1": [f1(t) for t in tables], "balanced_accuracy": [balanced_accuracy(t) for t in tables]}
    return {name: known for name, values in by_metric.items() if (known := [v for v in values if v is not None])}


def _stated_interval(mean: float, deviation: float | None, n: int) -> Interval:
    """Interval from the file's mean and deviation, or the whole range."""
    if deviation is None or n < 2:
        return Interval(mean, 0.0, 1.0, max(1, n))
    reach = _Z95 * float(deviation) / n**0.5
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach), n)


def _note(stated: float, scores: Sequence[float], n_sampled: int, *, chance: float | None) -> str:
    text = f"SAEBench states an accuracy of {stated:.3f}"
    if chance is not None:
        text += f"; a judge that calls nothing firing has {chance:.3f}, and the prompt tells it how many fire"
    if scores and len(scores) < n_sampled:
        text += f"; {n_sampled - len(scores)} of {n_sampled} latents are left out: dead, or their replies were lost"
    return f"{text}."
