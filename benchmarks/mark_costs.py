"""What marks cost: tokens per marked token of a run's firing windows, by pair of marks and by tokenizer.

`python -m benchmarks.mark_costs RUN TOKENIZER...` (directories with a tokenizer.json); prints a table in Markdown.
"""

from __future__ import annotations

import sys
from pathlib import Path

from autointerp.judges.endpoint.token_counting import open_counter
from autointerp.prompting.marking import firing_spans, quote
from autointerp.prompting.notation import Notation
from autointerp.records.evidence_file import read_evidence
from autointerp.records.window import Window
from autointerp.tables import markdown_table

PAIRS = ("\u00ab\u00bb", "\u27e6\u27e7", "\u27ea\u27eb", "\u3010\u3011", "\u2039\u203a")


def written(windows: list[Window]) -> dict[str, list[str]]:
    """The windows unmarked, as version 1 marks them, and with each pair."""
    spans = [[span for span, _ in firing_spans(window)] for window in windows]
    marked = list(zip(windows, spans, strict=True))
    second = [Notation(True, False).write_window(*pair) for pair in marked]
    return {
        "none": [quote(window.text) for window in windows],
        "<< >> (version 1)": [Notation(False, False).write_window(*pair) for pair in marked],
        **{
            f"{pair[0]} {pair[1]}": [text.replace("\u00ab", pair[0]).replace("\u00bb", pair[1]) for text in second]
            for pair in PAIRS
        },
    }


def main(run: str, *tokenizers: str) -> None:
    files = sorted((Path(run) / "evidence").glob("*.parquet"))
    windows = [w for file in files for e in read_evidence(file) for w in e.select("explain", "top", "bin")]
    n = sum(len(firing_spans(window)) for window in windows)
    counters = [open_counter(Path(path)).count for path in tokenizers]
    sizes = {name: [sum(map(count, texts)) for count in counters] for name, texts in written(windows).items()}
    plain = sizes.pop("none")
    rows = [
        [name, *(f"{(size - bare) / n:.2f}" for size, bare in zip(all_, plain, strict=True))]
        for name, all_ in sizes.items()
    ]
    print(f"{len(windows):,} windows, {n:,} marked tokens; added tokens for each:")
    print(
        "\n".join(
            markdown_table(
                ["marks", *(Path(path).name for path in tokenizers)], rows, rule="|---|" + "---|" * len(tokenizers)
            )
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
