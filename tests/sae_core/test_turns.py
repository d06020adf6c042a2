"""Works in steps: each takes its turn, results come back by name."""

from __future__ import annotations

from sae_core.turns import Steps, done, in_turn


def count(name: str, n: int, seen: list[str]) -> Steps[int]:
    for _ in range(n):
        seen.append(name)
        yield
    return n


def test_works_take_turns_and_ends_are_told() -> None:
    seen: list[str] = []
    ended: list[str] = []
    works = {name: count(name, n, seen) for name, n in {"a": 1, "b": 3, "c": 0}.items()}
    assert in_turn(works, on_end=lambda name: ended.append(f"{name} after {len(seen)}")) == {"a": 1, "b": 3, "c": 0}
    assert seen == ["a", "b", "b", "b"]
    assert ended == ["c after 2", "a after 2", "b after 4"]


def test_one_work_is_done_at_once() -> None:
    seen: list[str] = []
    assert done(count("a", 2, seen)) == 2 and seen == ["a", "a"]
