"""The check of a setting."""

from __future__ import annotations

__all__ = ["require"]


def require(condition: bool, field: str, value: object, wanted: str) -> None:
    """Raise ValueError naming field, value and what is allowed, unless `condition` holds."""
    if not condition:
        raise ValueError(f"{field} = {value!r}: must be {wanted}")
