"""Files of a run damaged, swapped and edited by chance: a command gives the same output, or refuses in one line.

Never a number that silently differs, a traceback, or a wait without end.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from autointerp.seeds import stream
from tests.attack.attacking import Attack

N_MUTATIONS = 600
N_FEW = 20


def attack(target: Attack, n: int) -> Counter[str]:
    """How many of `n` mutations came to what; every command that reads the file counts."""
    files = target.files()
    counts: Counter[str] = Counter()
    faults = []
    for number in range(n):
        rng = stream(0, "attack", number)
        did, found = target.mutated(files[number % len(files)], rng)
        outcomes = {one.outcome for one in found}
        counts["refused" if "refused" in outcomes else "same"] += 1
        faults += [f"{number}: {did}: {one}" for one in found if one.outcome not in ("same", "refused")]
    assert not faults, "\n".join(faults)
    return counts


def test_twenty_mutations(tmp_path: Path) -> None:
    assert attack(Attack(tmp_path, is_quick=True), N_FEW)["refused"] > N_FEW // 2


@pytest.mark.full
def test_six_hundred_mutations(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    counts = attack(Attack(tmp_path), N_MUTATIONS)
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")  # none in a worker of several
    if terminal is not None:
        terminal.write_line(f"{N_MUTATIONS} mutations of a run's files: {dict(counts)}")
    assert counts["refused"] > N_MUTATIONS // 2
