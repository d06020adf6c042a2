"""How long `merge` takes over many shards, and what memory.

`python -m benchmarks.many_shards --shards 1000 --features 20 --folder DIR` makes up a run of so many shards, each with
a journal of so many features (a question of 3 kB and ten verdicts each), and merges them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from autointerp.config.loading import parse_config
from autointerp.records.verdict import Explanation, Verdict
from autointerp.runs.digests import finish_stage
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import begin_manifest
from autointerp.runs.reply_record import Account, ReplyRecord
from autointerp.runs.shard_run import evidence_hashes
from autointerp.runs.shards import Shard
from benchmarks.million_features import make_run, measure, settings
from benchmarks.tables import markdown_table, write_report

N_WINDOWS = 10
DICTIONARY = "d00"


def make_shards(root: Path, *, n_shards: int, n_features: int) -> RunLayout:
    """A run whose shards are done, and not merged."""
    tree = settings(1)
    config, run = parse_config(tree), make_run(root, tree, n_features=1)
    evidence = evidence_hashes(run, config)
    for number in range(1, n_shards + 1):
        layout = RunLayout(root, shard=Shard(n_shards, number))
        manifest = begin_manifest(layout, config, shard=str(layout.shard), evidence=evidence)
        with open_journal(layout.journal) as journal:
            for feature in range(number * n_features, (number + 1) * n_features):
                record(journal, feature)
        facts = {"explain": {"n_explanations": n_features}, "score": {"n_verdicts": N_WINDOWS * n_features}}
        for stage, counts in facts.items():
            finish_stage(manifest, layout, stage, counts, dictionaries=[DICTIONARY])
    return run


def record(journal: Journal, feature: int) -> None:
    """One feature's explanation, question and verdicts."""
    windows = tuple(f"w{feature}-{number}" for number in range(N_WINDOWS))
    key, part = f"k{feature}", f"h{feature}"
    request = f'{{"messages": [{{"role": "user", "content": "{part}"}}]}}'
    journal.charge(key, Account(DICTIONARY, "windows", "detection", feature, None, windows))
    journal.record_reply(
        ReplyRecord(key, "e", "m", request, "[1, 0]", "stop", "m", at=float(feature), parts={part: "x" * 3000})
    )
    journal.save_explanations([Explanation(DICTIONARY, feature, "windows", "m", "p", "what it means")])
    verdict = (DICTIONARY, feature, "windows", "detection", "m", "p", None)
    journal.save_verdicts(Verdict(*verdict, window, "top", True, "fires") for window in windows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--features", type=int, default=20, help="of each shard")
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder")
    options = parser.parse_args()
    run = make_shards(options.folder.resolve() / "run", n_shards=options.shards, n_features=options.features)
    rows = []
    for stage in ("merge", "merge again"):
        found = measure(stage, [sys.executable, "-m", "autointerp", "merge", str(run.root)])
        rows.append([stage, f"{found.wall_s:.0f}", f"{found.cpu_s:.1f}", f"{found.peak_bytes / 2**20:.0f}"])
    about = (
        f"{options.shards:,} shards of {options.features} features, a reply and {N_WINDOWS} verdicts a feature; the "
        f"merged journal has {run.journal.stat().st_size / 1e6:.0f} MB. `python -m benchmarks.many_shards --shards "
        f"{options.shards} --features {options.features} --folder DIR`"
    )
    table = markdown_table(["", "wall s", "CPU s", "peak MiB"], rows)
    size = "full" if options.shards >= 1000 else str(options.shards)
    print(write_report("many_shards", "Merging shards", [about, table], size=size))


if __name__ == "__main__":
    main()
