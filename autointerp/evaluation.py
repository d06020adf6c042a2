"""The pipeline from Python, on objects in memory or on names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autointerp import pipeline
from autointerp.cli.display import TerminalProgress
from autointerp.config.loading import parse_config
from autointerp.errors import ConfigError
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.runs.remote import open_out
from autointerp.tensor_half import needs_tensor_half

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sae_core.adapter import HasEncoder

__all__ = ["evaluate"]

_NOT_FOR_A_NAME = re.compile(r"[^a-z0-9_-]+")


def evaluate(
    model: str | Path | PreTrainedModel | TransformerBridge,
    dictionaries: Mapping[str, str | Path | HasEncoder | Mapping[str, Any]],
    *,
    site: str,
    layer: int,
    out: str | Path,
    corpus: str | Path | Iterable[str] = "builtin",
    judge: str = "pattern",
    tokenizer: PreTrainedTokenizerBase | None = None,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Score the features of dictionaries on a model, and return the run in the directory `out`.

    model: a name or directory as in `subject.model`; a transformers model with its `tokenizer` (copied); or a
    TransformerBridge with raw float32 weights (read as it is).

    dictionaries: by name on the board, a path in a format that `autointerp dictionaries inspect` knows; an object with
    `encode` and decoder directions (`sae_core.adapter.adapt`); or a table of an entry's keys, such as {"kind":
    "random", "match_density": "my_sae"} for a baseline.

    site, layer: where they read the model. corpus: as in `corpus.path`, or texts. judge: `NAME` or `NAME:MODEL`.
    settings: further keys of the config as nested tables, such as {"harvest": {"n_features": 50}} (docs/config.md).

    The same call goes on where it stopped; another object under the same `out` is refused unless `fresh`. Works in a
    notebook. Raises AutointerpError or SaeCoreError, in one line, for everything that can be mended.
    """
    objects: dict[str, object] = {}
    tree = {
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", Path(out).name).lstrip("._-") or "run",
        "subject": {"model": _model(model, tokenizer, objects), "site": site, "layer": layer},
        "corpus": {"path": _corpus(corpus, objects)},
        "dictionaries": [_entry(name, value, objects) for name, value in dictionaries.items()],
        "explain": {"judge": judge},
        "score": {"judge": judge},
    }
    config = parse_config(_with_settings(tree, settings or {}))
    shown = TerminalProgress() if progress is None else progress
    return Run(pipeline.run(config, out=open_out(out), fresh=fresh, progress=shown, objects=objects).root)


def _model(model: Any, tokenizer: Any, objects: dict[str, object]) -> str:
    """What the config calls the model; one in memory joins the objects."""
    if isinstance(model, str | Path):
        if tokenizer is not None:
            raise ConfigError(f"model '{model}' is a name, which brings its own tokenizer; leave tokenizer out")
        return str(model)
    with needs_tensor_half("evaluate"):
        from autointerp.stages.objects import MODEL
        from autointerp.subject.held import IN_MEMORY, HeldModel
    held = objects[MODEL] = HeldModel(model, tokenizer)
    return IN_MEMORY + held.name


def _corpus(corpus: Any, objects: dict[str, object]) -> str:
    if isinstance(corpus, str | Path):
        return str(corpus)
    with needs_tensor_half("evaluate"):
        from autointerp.stages.objects import CORPUS
        from autointerp.subject.held import IN_MEMORY, HeldTexts
    objects[CORPUS] = HeldTexts.of(corpus)
    return f"{IN_MEMORY}texts"


def _entry(name: str, value: Any, objects: dict[str, object]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"name": name, **value}
    if isinstance(value, str | Path):
        return {"name": name, "kind": "load", "path": str(value)}
    objects[name] = value
    return {"name": name, "kind": "object"}


def _with_settings(tree: Mapping[str, Any], settings: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Raises ConfigError for a key that an argument states already."""
    merged = dict(tree)
    for key, value in settings.items():
        name = f"{place}{key}"
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _with_settings(merged[key], value, f"{name}.")
        elif key in merged and name not in ("name", "explain.judge", "score.judge"):
            raise ConfigError(f"settings: '{name}' is said by an argument of evaluate already; leave it out")
        else:
            merged[key] = value
    return merged
