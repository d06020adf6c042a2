"""What an endpoint says it serves under a model's name: which files, of when, how large.

An address and a name say too little: another model may answer by them tomorrow. Takes the list of models that
OpenAI-compatible servers give away for nothing. A server that keeps no such list is known by address and name alone.
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
"""What tells models apart. Permissions, prices and descriptions do not, and change by themselves."""
_A_CLOCK_S = 60.0
"""Some servers give the time of the question as the time at which the model was created."""
_LONGEST = 500


async def ask_identity(transport: Transport, model: str) -> Mapping[str, Any] | None:
    """What the endpoint says of `model`, or None where it says nothing. Costs nothing and raises nothing."""
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
    found = {field: _short(safe_tree(named[0][field])) for field in _FIELDS if named[0].get(field) is not None}
    created = found.get("created")
    if isinstance(created, int | float) and abs(created - time.time()) < _A_CLOCK_S:
        del found["created"]
    return found or None


def render_identity(serves: Mapping[str, Any] | None, answered_by: Mapping[str, str]) -> str:
    """What is known of who answers, as canonical text, never empty."""
    known = {"serves": None if serves is None else dict(serves), "answered_by": dict(answered_by)}
    return json.dumps(known, sort_keys=True)


def _short(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    return value if len(text) <= _LONGEST else hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
