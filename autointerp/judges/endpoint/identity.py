"""An endpoint's description of its model, from the free `/models` list, since address and name may be taken over by
another model.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from autointerp.errors import JudgeError, RunStopped
from autointerp.judges.endpoint.transport import Transport
from autointerp.safe_text import safe_tree

__all__ = ["ask_identity", "render_identity"]

_TIMEOUT_S = 10.0
_FIELDS = (
    *("id", "root", "parent", "owned_by", "created", "modified_at", "max_model_len", "meta", "size"),
    *("digest", "sha256", "hash", "revision", "quantization", "system_fingerprint", "canonical_slug"),
)
"""Permissions, prices and descriptions are left out: they change by themselves."""
_A_CLOCK_S = 60.0
"""Some servers state the time of the question as creation time."""
_LONGEST = 500


async def ask_identity(transport: Transport, model: str) -> Mapping[str, Any] | None:
    """The entry for `model`, None without one; never raises."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            answer = await transport.get("/models")
        listed = json.loads(answer.content)["data"] if answer.status == 200 else []
    except (JudgeError, RunStopped, TimeoutError, ValueError, TypeError, KeyError, RecursionError):
        return None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    named = [entry for entry in entries if entry.get("id") == model] or (entries if len(entries) == 1 else [])
    if not named:
        return None
    fields = {field: _short(safe_tree(named[0][field])) for field in _FIELDS if named[0].get(field) is not None}
    created = fields.get("created")
    if isinstance(created, int | float) and abs(created - time.time()) < _A_CLOCK_S:
        del fields["created"]
    return fields or None


def render_identity(serves: Mapping[str, Any] | None, answered_by: Mapping[str, str]) -> str:
    """Canonical text on who answers, never empty."""
    known = {"serves": None if serves is None else dict(serves), "answered_by": dict(answered_by)}
    return json.dumps(known, sort_keys=True)


def _short(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    return value if len(text) <= _LONGEST else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
