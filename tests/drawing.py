"""How many examples a property test draws: `make test` a quarter of what `make test-all` does (tests/conftest.py)."""

from hypothesis import settings

__all__ = ["examples"]


def examples(n: int) -> int:
    """The share of `n` that is drawn in this test run."""
    return max(1, n * settings.default.max_examples // 100)
