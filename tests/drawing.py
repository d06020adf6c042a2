"""How many examples a property test draws: `make test` two fifths of what `make test-all` does (tests/conftest.py)."""

from hypothesis import settings

__all__ = ["examples"]


def examples(n: int) -> int:
    """The share of `n` that is drawn in this test run."""
    return n * settings.default.max_examples // 100
