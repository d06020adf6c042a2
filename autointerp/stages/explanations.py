"""The explanations that scoring starts from: those of the run, or, for a shard, those of all shards.

The shuffled control pairs explanations among all features, so a shard waits for those of the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, RunStopped
from autointerp.progress import Progress
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import outlines_of
from autointerp.records.verdict import Explanation
from autointerp.runs.journal import read_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import is_locked
from autointerp.runs.manifest import read_manifest
from autointerp.runs.shards import Shard
from autointerp.runs.sqlite_reader import is_laid_out

__all__ = ["collect_explanations", "load_explanations"]

POLL_S = 1.0
# how long a shard waits for others of which no process is at work
PATIENCE_S = 30.0

Key = tuple[str, int, str]


def load_explanations(
    config: Config, layout: RunLayout, evidences: Sequence[Evidence], progress: Progress
) -> list[Explanation]:
    """The explanations of every feature that a score may depend on.

    Raises RunStopped when a shard lacks others' and nobody is making them.
    """
    if layout.shard is None:
        with read_journal(layout.journal) as journal:
            return journal.load_explanations()
    names = [explainer.label or explainer.name for explainer in config.explain.explainers]
    has_controls = config.controls.shuffled > 0
    wanted = {
        (evidence.dictionary, evidence.feature, name)
        for evidence in outlines_of(evidences)
        if evidence.unscored is None and (has_controls or evidence.feature in layout.shard)
        for name in names
    }
    return _wait_for(layout, layout.shard, wanted, progress)


def collect_explanations(layout: RunLayout) -> dict[Key, Explanation]:
    """What the run and all its shards have explained so far, on the evidence of the shard `layout`.

    Raises ArtefactError when two processes explained a feature differently.
    """
    evidence = read_manifest(layout).get("evidence")
    explanations: dict[Key, Explanation] = {}
    whole = RunLayout(layout.root)
    is_done = "explain" in read_manifest(whole)["stages"]
    for source in [whole, *([] if is_done else layout.find_shards())]:
        if is_laid_out(source.journal) and _is_of(source, evidence):
            with read_journal(source.journal, is_checked=False) as journal:
                for explanation in journal.load_explanations():
                    _add(explanations, explanation, source)
    return explanations


def _is_of(source: RunLayout, evidence: object) -> bool:
    """Whether the explanations are of the evidence in hand."""
    manifest = read_manifest(source)
    if source.shard is None:
        # a whole run that did not finish explaining may hold some of an older harvest
        return "explain" in manifest["stages"] or manifest.get("shards", {}).get("evidence") == evidence
    return manifest.get("evidence") == evidence


def _add(found: dict[Key, Explanation], explanation: Explanation, source: RunLayout) -> None:
    key = (explanation.dictionary, explanation.feature, explanation.explainer)
    known = found.get(key)
    if known is None or known.text is None:
        found[key] = explanation
    elif explanation.text is not None and explanation != known:
        raise ArtefactError(
            f"feature {explanation.feature} of dictionary '{explanation.dictionary}' was explained twice, and "
            f"differently, once in {source.journal.parent}; delete the shard that shall not count"
        )


def _wait_for(layout: RunLayout, shard: Shard, wanted: set[Key], progress: Progress) -> list[Explanation]:
    is_told, until = False, time.monotonic() + PATIENCE_S
    while True:
        explanations = collect_explanations(layout)
        missing = wanted - explanations.keys()
        if not missing:
            return [explanations[key] for key in sorted(explanations)]
        others = _shards_of(shard.count, missing)
        if not is_told:
            progress.say(f"score: waiting for explanations of {_listed(others)}, for the shuffled controls")
            is_told = True
        if any(is_locked(RunLayout(layout.root, shard=other).lock) for other in others if other != shard):
            until = time.monotonic() + PATIENCE_S
        elif time.monotonic() > until:
            raise RunStopped(
                f"shard {shard} has explained its features; to score them it needs the explanations of "
                f"{_listed(others)} too, which nobody is making in {layout.root}: run those there, or `merge` their "
                "folders; then give the same command again"
            )
        time.sleep(POLL_S)


def _shards_of(count: int, missing: Iterable[Key]) -> list[Shard]:
    features = {feature for _, feature, _ in missing}
    shards = [Shard(count=count, number=number) for number in range(1, count + 1)]
    return [shard for shard in shards if any(feature in shard for feature in features)]


def _listed(shards: Sequence[Shard]) -> str:
    shown = ", ".join(map(str, shards[:4])) + (f" and {len(shards) - 4} more" if len(shards) > 4 else "")
    return f"shard{'s' if len(shards) > 1 else ''} {shown}"
