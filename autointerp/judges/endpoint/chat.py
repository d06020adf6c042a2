"""Body of `/chat/completions` for a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autointerp.judges.endpoint.dialects import Wire
from autointerp.judges.judge import Request
from autointerp.judges.system_message import fold_system

__all__ = ["chat_body"]


def chat_body(request: Request, wire: Wire, *, model: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """`more` overrides other fields."""
    messages = fold_system(request.messages) if wire.fold_system else request.messages
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        wire.token_limit_field: request.max_tokens + wire.thinking_tokens,
    }
    if "temperature" not in wire.omit_fields:
        body["temperature"] = request.temperature
    if request.seed is not None and "seed" not in wire.omit_fields:
        body["seed"] = request.seed
    if request.want_logprobs and wire.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": wire.top_logprobs}
    if request.reply_schema is not None and wire.reply_format == "json_schema":
        wanted = {"name": "reply", "schema": dict(request.reply_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    elif request.reply_schema is not None and wire.reply_format == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body | dict(more)
