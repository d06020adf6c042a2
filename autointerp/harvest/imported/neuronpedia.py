"""Activation exports of Neuronpedia and SAEDashboard: JSON or JSON lines, packed with gzip or not.

Read are: rows of activations (`tokens`, `values`, `index`) and of features (`pos_str`, `frac_nonzero`, ...), features
that hold their `activations`, and SAEDashboard's batches, which hold `features`. They know tokens by their spelling,
and of each feature only the texts that were kept because it fires there. So silent windows are stretches of those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autointerp.config.tree import HarvestConfig
from autointerp.errors import InputError
from autointerp.harvest.evidence import Need
from autointerp.harvest.firing import Firings
from autointerp.harvest.imported.kept import SHARES, Imported, collect_kept
from autointerp.harvest.statistics import drawing_order
from autointerp.records.document import Role, role_of
from autointerp.records.evidence import Evidence, NeuronMatch, TokenEffect
from autointerp.small_files import parse_json
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sources.streams import TextStream, unpacked
from autointerp.subject.sources.text import decode_text
from autointerp.subject.tokens import SPACE, TokenText

__all__ = ["Export", "find_exports"]

SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
SPECIAL = frozenset(
    (
        *("<|endoftext|>", "<|begin_of_text|>", "<|end_of_text|>", "<bos>", "<eos>", "<pad>", "<s>", "</s>", "<unk>"),
        *("<|im_start|>", "<|im_end|>", "[CLS]", "[SEP]", "[PAD]", "<start_of_turn>", "<end_of_turn>"),
    )
)
"""Spellings of tokens that are no text."""
SHINGLE = 10
"""Texts that share so many tokens in a row have one role."""

LACKS = (
    "silent windows are stretches of texts that the feature fires in elsewhere; of other texts nothing is known",
    "no counts over all text: no share of windows that fire, no context predictability",
    "tokens are known by spelling: their numbers are those of the spellings in order",
)


@dataclass(eq=False)
class FeatureRecord:
    """What the files say of one feature: `facts` as they name them, and its texts as (tokens, values)."""

    facts: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = field(default_factory=dict)


@dataclass(eq=False)
class Export:
    """The features of one dictionary, which the files call `layer`."""

    layer: str
    model: str | None = None
    corpus: str | None = None
    features: dict[int, FeatureRecord] = field(default_factory=dict)

    def read(self, name: str, config: HarvestConfig, *, seed: int, needs: Mapping[Role, Need]) -> Imported:
        """The evidence about a sample of its features that have texts."""
        order = drawing_order(seed, name, max(self.features, default=0) + 1)
        known = [index for index in order.tolist() if index in self.features and self.features[index].texts]
        chosen = sorted(known if config.n_features == "all" else known[: config.n_features])
        records = {index: self.features[index] for index in chosen}
        roles = _roles(records.values())
        texts = [tokens for record in records.values() for tokens, _ in record.texts.values()]
        effects = [entry for record in records.values() for side in ("pos", "neg") for entry in _entries(record, side)]
        spellings = sorted({token for tokens in (*texts, effects) for token in tokens})
        text = TokenText(tuple(_spelled(spellings)), adds_space=False)
        number = {spelling: place for place, spelling in enumerate(spellings)}
        rows: list[Evidence] = []
        for index, record in records.items():
            batches = [_batch(record, role, roles, number) for role in SHARES]
            (row,) = collect_kept(
                name,
                [index],
                lambda batches=batches: (batch for batch in batches if batch[0].n_tokens),
                config,
                site=str(record.facts.get("hookName") or self.layer),
                text=text,
                seed=seed,
                needs=needs,
                has_contexts=False,
            )
            rows.append(_with_facts(row, record, number, n_logits=config.n_logits))
        return Imported(name, tuple(rows), self.model, self.corpus, sum(map(len, texts)), self._lacks(records))

    def _lacks(self, records: Mapping[int, FeatureRecord]) -> tuple[str, ...]:
        lacks: list[str] = [*LACKS]
        if not all("frac_nonzero" in record.facts for record in records.values()):
            lacks.append("how often features fire is not said of all: a density of 0 is an unknown one")
        if not all(record.facts.get("pos_str") for record in records.values()):
            lacks.append("logit effects are not said of all features")
        return tuple(lacks)


def find_exports(source: Path, *, max_mb: int) -> list[Export]:
    """The dictionaries in a file, or in all files at or below a folder. Raises InputError for a damaged file."""
    files = [source] if source.is_file() else [path for path in sorted(source.rglob("*")) if _is_read(path)]
    exports: dict[str, Export] = {}
    for path in files:
        for place, row in _iter_rows(path, max_mb=max_mb):
            _take(exports, row, place)
    return [export for _, export in sorted(exports.items()) if any(f.texts for f in export.features.values())]


def _is_read(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def _iter_rows(path: Path, *, max_mb: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in a file, each with its place for an error."""
    try:
        with path.open("rb") as stream:
            opened = unpacked(stream, name=path.name, place=f"'{path}'", max_mb=max_mb)
            if ".jsonl" in path.name.lower():
                parsed: Iterable[tuple[str, Any]] = (
                    (f"{path}, line {line}", parse_json(text, place=f"{path}, line {line}"))
                    for line, text in opened.lines()
                    if text.strip()
                )
            else:
                parsed = _of_list(path, opened)
            yield from ((place, row) for place, row in parsed if isinstance(row, dict))
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}); copy or download it again") from None


def _of_list(path: Path, opened: TextStream) -> Iterator[tuple[str, Any]]:
    found = parse_json(decode_text(opened.whole(), place=f"'{path}'"), place=str(path))
    rows = found if isinstance(found, list) else [found]
    yield from ((f"{path}, item {place}" if len(rows) > 1 else str(path), row) for place, row in enumerate(rows))


def _take(exports: dict[str, Export], row: Mapping[str, Any], place: str) -> None:
    """Sort one object into its dictionary: a batch of features, a feature, or an activation; others are passed over."""
    if isinstance(row.get("features"), list) and "model_id" in row:
        layer = "-".join(str(part) for part in (row.get("layer"), row.get("sae_set")) if part not in (None, ""))
        for item, feature in enumerate(row["features"]):
            if isinstance(feature, dict):
                own = {"layer": layer, "modelId": row["model_id"], "index": feature.get("feature_index"), **feature}
                _take(exports, own, f"{place}, feature {item}")
        return
    is_activation = "tokens" in row and "values" in row
    if "index" not in row or not (is_activation or isinstance(row.get("activations"), list) or "pos_str" in row):
        return
    export = exports.setdefault(str(row.get("layer", "features")), Export(str(row.get("layer", "features"))))
    export.model = export.model or _text(row.get("modelId"))
    export.corpus = export.corpus or _text(row.get("dataset"))
    record = export.features.setdefault(_index(row["index"], place), FeatureRecord())
    if is_activation:
        _add_text(record, row, place)
        return
    for item, activation in enumerate(row.get("activations") or ()):
        if isinstance(activation, dict):
            _add_text(record, activation, f"{place}, activation {item}")
    record.facts |= {key: value for key, value in row.items() if key != "activations"}


def _index(value: Any, place: str) -> int:
    try:
        found = int(value)
    except (TypeError, ValueError):
        found = -1
    if not 0 <= found < 1 << 31:
        raise InputError(f"{place}: index = {value!r} is no feature's number")
    return found


def _add_text(record: FeatureRecord, row: Mapping[str, Any], place: str) -> None:
    tokens, values = row.get("tokens"), row.get("values")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise InputError(f"{place}: 'tokens' must be a list of strings")
    if not isinstance(values, list) or len(values) != len(tokens):
        raise InputError(f"{place}: 'values' must be a list of {len(tokens)} numbers, one per token")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        raise InputError(f"{place}: 'values' must be numbers")
    found = tuple(float(value) for value in values)
    if not np.isfinite(found).all():
        raise InputError(f"{place}: a value is not finite")
    if tokens:
        record.texts[_text_id(tokens)] = (tuple(tokens), found)


def _text_id(tokens: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join(tokens).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _roles(records: Iterable[FeatureRecord]) -> dict[str, Role]:
    """The role of every text: texts that share a passage have that of the first of them."""
    texts = {name: tokens for record in records for name, (tokens, _) in record.texts.items()}
    first_with: dict[tuple[str, ...], str] = {}
    parent = {name: name for name in texts}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for name in sorted(texts):
        tokens = texts[name]
        for start in range(max(1, len(tokens) - SHINGLE + 1)):
            other = root(first_with.setdefault(tokens[start : start + SHINGLE], name))
            low, high = sorted((other, root(name)))
            parent[high] = low
    return {name: role_of(root(name), SHARES) for name in texts}


def _spelled(spellings: Sequence[str]) -> Iterator[bytes]:
    """The bytes of each spelling; a vocabulary's own signs for a space are read as one."""
    for spelling in spellings:
        yield spelling.replace(SPACE, " ").replace("\u0120", " ").replace("\u010a", "\n").encode("utf-8", "replace")


def _batch(
    record: FeatureRecord, role: Role, roles: Mapping[str, Role], number: Mapping[str, int]
) -> tuple[PackedBatch, Firings]:
    """The texts of one role, each a row, with the feature's firings."""
    names = [name for name in sorted(record.texts) if roles[name] == role]
    width = max((len(record.texts[name][0]) for name in names), default=1)
    tokens = np.zeros((len(names), width), dtype=np.int64)
    document, offset = np.full_like(tokens, -1), np.full_like(tokens, -1)
    value = np.zeros(tokens.shape, dtype=np.float32)
    for row, name in enumerate(names):
        spelled, values = record.texts[name]
        for place, (token, activation) in enumerate(zip(spelled, values, strict=True)):
            tokens[row, place] = number[token]
            if token not in SPECIAL:
                document[row, place], offset[row, place], value[row, place] = row, place, activation
    is_text = document >= 0
    spread = torch.from_numpy(tokens), torch.from_numpy(document), torch.from_numpy(offset)
    batch = PackedBatch(*spread, tuple(names), role)
    kept = value[is_text]
    place = np.flatnonzero(kept > 0)
    return batch, Firings(np.zeros(len(place), dtype=np.int64), place, kept[place])


def _with_facts(row: Evidence, record: FeatureRecord, number: Mapping[str, int], *, n_logits: int) -> Evidence:
    """The evidence with what the files say of the feature, in place of what its few texts would."""
    facts = record.facts
    density = _number(facts.get("frac_nonzero"))
    n_tokens = int(_number(facts.get("n_prompts_total")) * _number(facts.get("n_tokens_in_prompt")))
    neurons = _numbers(facts.get("correlated_neurons_indices")), _numbers(facts.get("correlated_neurons_pearson"))
    return replace(
        row,
        n_tokens=n_tokens,
        n_firing=round(density * n_tokens),
        density=min(1.0, density),
        max_activation=max(row.max_activation, _number(facts.get("maxActApprox"))),
        histogram_edges=(),
        histogram_counts=(),
        top_logits=_effects(record, "pos", number)[:n_logits],
        bottom_logits=_effects(record, "neg", number)[:n_logits],
        neuron=NeuronMatch(int(neurons[0][0]), neurons[1][0]) if all(neurons) else None,
        context=None,
        counts=None,
    )


def _entries(record: FeatureRecord, side: str) -> list[str]:
    """The spellings of the entries of the vocabulary on one side of the logit effects, empty where they are no list."""
    found = record.facts.get(f"{side}_str")
    return [str(entry) for entry in found] if isinstance(found, list) else []


def _effects(record: FeatureRecord, side: str, number: Mapping[str, int]) -> tuple[TokenEffect, ...]:
    """Entries of the vocabulary with their effects."""
    entries, values = _entries(record, side), _numbers(record.facts.get(f"{side}_values"))
    if len(entries) != len(values):
        return ()
    shown = [piece.decode() for piece in _spelled(entries)]
    return tuple(
        TokenEffect(number[entry], text, value) for entry, text, value in zip(entries, shown, values, strict=True)
    )


def _numbers(value: Any) -> list[float]:
    """A list of finite numbers, empty where it is none."""
    found = value if isinstance(value, list) else []
    is_good = all(isinstance(item, int | float) and np.isfinite(item) for item in found)
    return [float(item) for item in found] if is_good else []


def _number(value: Any) -> float:
    """A finite number of at least 0; 0 where it is none."""
    (found,) = _numbers([value]) or [0.0]
    return max(0.0, found)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
