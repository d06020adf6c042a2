"""Keys and journal rows of requests and replies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from autointerp.judges.judge import Capabilities, Message, Reply, Request, Usage
from autointerp.judges.tasks import ScoreTask
from autointerp.runs.reply_record import ReplyRecord
from autointerp.runs.storable import storable_text

__all__ = [
    "reply_from_record",
    "reply_key",
    "reply_to_record",
    "request_of",
    "request_to_record",
    "shared_key",
    "with_reply",
]


def reply_key(capabilities: Capabilities, request: Request) -> str:
    """Hash of endpoint, model, variant, body, messages and sample."""
    content: list[Any] = [capabilities.endpoint, capabilities.model, capabilities.variant, _body(request)]
    content += [[message.content for message in request.messages], request.sample]
    # for a language model the messages say it all
    if capabilities.uses_task:
        content += [type(request.task).__name__, request.task]
    return hashlib.blake2b(_canonical(content).encode(), digest_size=16).hexdigest()


def shared_key(capabilities: Capabilities, key: str) -> str | None:
    """Key in the shared cache; None where replies are not shared."""
    if capabilities.is_local or not capabilities.is_shared:
        return None
    if not capabilities.identity:
        return key
    # shared replies belong to one model, not to a name
    return hashlib.blake2b(f"{key} {capabilities.identity}".encode(), digest_size=16).hexdigest()


def reply_to_record(
    reply: Reply,
    request: Request,
    *,
    key: str,
    capabilities: Capabilities,
    latency_s: float,
    n_attempts: int,
    at: float,
) -> ReplyRecord:
    asked = request_to_record(request, key=key, capabilities=capabilities)
    return with_reply(asked, reply, latency_s=latency_s, n_attempts=n_attempts, at=at)


def request_to_record(request: Request, *, key: str, capabilities: Capabilities) -> ReplyRecord:
    """Row without reply; message texts become parts named by hash, so each is stored once."""
    texts = [storable_text(message.content) for message in request.messages]
    hashes = [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in texts]
    body = _body(request)
    body["messages"] = [
        {"role": message.role, "content": part} for message, part in zip(request.messages, hashes, strict=True)
    ]
    body["sample"] = request.sample
    return ReplyRecord(
        key=key,
        endpoint=capabilities.endpoint,
        model=capabilities.model,
        request=_canonical(body),
        text="",
        finish="",
        reply_model="",
        parts=dict(zip(hashes, texts, strict=True)),
    )


def with_reply(asked: ReplyRecord, reply: Reply, *, latency_s: float, n_attempts: int, at: float) -> ReplyRecord:
    return replace(
        asked,
        text=reply.text,
        finish=reply.finish,
        reply_model=reply.model,
        token_logprobs=None if reply.token_logprobs is None else _canonical(reply.token_logprobs),
        probabilities=None if reply.probabilities is None else _canonical(reply.probabilities),
        input_tokens=reply.usage.input_tokens,
        output_tokens=reply.usage.output_tokens,
        cached_tokens=reply.usage.cached_tokens,
        usd=reply.usage.usd,
        latency_s=latency_s,
        n_attempts=n_attempts,
        at=at,
    )


def request_of(asked: ReplyRecord) -> Request:
    """Request of a row, without its task."""
    body = json.loads(asked.request)
    texts = [(message["role"], asked.parts.get(message["content"], "")) for message in body["messages"]]
    return Request(
        ScoreTask("", ()),
        tuple(Message(role, text) for role, text in texts),
        max_tokens=body["max_tokens"],
        temperature=body["temperature"],
        seed=body["seed"],
        reply_schema=body["reply_schema"],
        want_logprobs=body["want_logprobs"],
        sample=body["sample"],
    )


def reply_from_record(record: ReplyRecord) -> Reply:
    logprobs = None
    if record.token_logprobs is not None:
        logprobs = tuple((token, alternatives) for token, alternatives in json.loads(record.token_logprobs))
    return Reply(
        text=record.text,
        model=record.reply_model,
        finish=cast(Any, record.finish),
        usage=Usage(record.input_tokens, record.output_tokens, record.cached_tokens, record.usd),
        token_logprobs=logprobs,
        probabilities=None if record.probabilities is None else tuple(json.loads(record.probabilities)),
    )


def _body(request: Request) -> dict[str, Any]:
    """Everything asked beside the texts, as JSON values."""
    return {
        "messages": [message.role for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": float(request.temperature),
        "seed": request.seed,
        "reply_schema": request.reply_schema,
        "want_logprobs": request.want_logprobs,
    }


def _canonical(value: Any) -> str:
    # ensure_ascii keeps lone surrogates encodable
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    """Dataclasses as lists of values, mappings as dicts."""
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    return dict(value)
