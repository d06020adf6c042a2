"""The judge behind any OpenAI-compatible endpoint: OpenAI itself, OpenRouter, vLLM, llama.cpp, Ollama, ...

It puts one request to `/chat/completions` through the official SDK on its aiohttp transport and maps every way
this can fail to this package's errors (`completion.py` reads bodies). Retries, limits and the journal are around it.
The SDK is imported when a judge is made, not before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autointerp.errors import ConfigError, JudgeRetry
from autointerp.judges.completion import read_completion, read_refusal, status_error
from autointerp.judges.endpoint import OPENAI_URL, OpenAIOptions, read_key
from autointerp.judges.options import read_options
from autointerp.judges.protocol import Capabilities, Reply, Request

__all__ = ["OpenAIJudge", "open_judge"]

_TOKENS_PER_MESSAGE = 16
"""More than any chat template wraps around a message."""


class OpenAIJudge:
    """One model behind one endpoint."""

    def __init__(self, model: str, *, options: OpenAIOptions) -> None:
        """Raises ConfigError when the key is missing."""
        import openai  # 0.7 s, and needed by nobody who does not ask an endpoint

        self._key = read_key(options)
        self._model, self._options, self._errors = model, options, openai
        self._client = openai.AsyncOpenAI(
            # the SDK insists on a key and would look for others in the environment
            api_key=self._key or "none",
            base_url=options.base_url,
            max_retries=0,
            timeout=options.timeout_s or 3600.0,
            # a redirect could carry the key to another host
            http_client=openai.DefaultAioHttpClient(follow_redirects=False),
        )
        if options.base_url != OPENAI_URL:  # the environment's names of an OpenAI account are no one else's business
            self._client.organization = self._client.project = None
        self._capabilities = Capabilities(
            endpoint=options.base_url,
            model=model,
            has_logprobs=options.top_logprobs > 0,
            has_schema=options.reply_format == "json_schema",
            max_concurrent=options.max_concurrent,
            variant=_variant(options),
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def bound_usd(self, request: Request) -> float | None:
        """The most a request can cost: no tokenizer makes more tokens than a text has bytes."""
        n_bytes = sum(len(message.content.encode()) + _TOKENS_PER_MESSAGE for message in request.messages)
        if request.reply_schema is not None:
            n_bytes += len(json.dumps(dict(request.reply_schema)))
        return self._options.usd(input_tokens=n_bytes, output_tokens=request.max_tokens)

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRetry, JudgeRejected or JudgeStopped as the protocol says; no message holds the key."""
        errors = self._errors
        try:
            raw = await self._client.chat.completions.with_raw_response.create(**self._body(request))
            content = raw.http_response.content
        except errors.APIConnectionError as error:
            why, is_unreached = _connection_failure(error)
            raise JudgeRetry(self._clean(why), is_connection=is_unreached) from None
        except errors.APIStatusError as error:
            return self._read_error(error.status_code, error.body, error.response.headers)
        return self._read(content)

    async def aclose(self) -> None:
        await self._client.close()

    def _body(self, request: Request) -> dict[str, Any]:
        options = self._options
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            options.token_limit_field: request.max_tokens,
        }
        if "temperature" not in options.omit_fields:
            body["temperature"] = request.temperature
        if request.seed is not None and "seed" not in options.omit_fields:
            body["seed"] = request.seed
        if request.want_logprobs and options.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": options.top_logprobs}
        if request.reply_schema is not None and options.reply_format == "json_schema":
            schema = {"name": "reply", "schema": dict(request.reply_schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.reply_schema is not None and options.reply_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        if options.extra_body:
            body["extra_body"] = dict(options.extra_body)
        return body

    def _read(self, content: bytes) -> Reply:
        try:
            body = json.loads(content)
        except ValueError:
            raise JudgeRetry(f"the endpoint sent a malformed body of {len(content)} bytes") from None
        error = body.get("error") if isinstance(body, dict) else None
        if isinstance(error, dict):  # some proxies wrap a failure into HTTP 200
            code = error.get("code")
            return self._read_error(code if isinstance(code, int) else 500, error, {})
        return read_completion(body, model=self._model, price=self._options.usd)

    def _read_error(self, status: int, body: Any, headers: Mapping[str, str]) -> Reply:
        """The reply an error amounts to (a content filter's refusal), or that error raised as ours."""
        refusal = read_refusal(status, body, model=self._model)
        if refusal is not None:
            return refusal
        raise status_error(
            status,
            body,
            headers,
            endpoint=self._options.base_url,
            model=self._model,
            key_env=self._options.key_env,
            clean=self._clean,
        )

    def _clean(self, text: str) -> str:
        """A server's words on one short line, without the key, should the server repeat it."""
        if self._key is not None:
            text = text.replace(self._key, "***")
        text = " ".join(text.split())
        return text if len(text) <= 300 else text[:300] + "..."


def _connection_failure(error: BaseException) -> tuple[str, bool]:
    """What went wrong with a connection, and whether the endpoint was never reached.

    The SDK's own classes do not tell: on the aiohttp transport it reports a dropped connection as a time-out.
    """
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    why = next((str(cause) for cause in reversed(causes) if str(cause)), type(causes[-1]).__name__)
    if names & {"ClientConnectorError", "ConnectionTimeoutError"}:
        return f"no connection: {why}", True
    if names & {"ServerDisconnectedError", "ClientPayloadError", "ClientOSError", "ReadError"}:
        return f"the connection broke: {why}", False
    if names & {"TimeoutException", "TimeoutError"}:
        return "the endpoint did not reply in time", "ConnectTimeout" in names
    return f"connection failed: {why}", "ConnectError" in names


def _variant(options: OpenAIOptions) -> str:
    """The options that change replies, as canonical text."""
    names = {"token_limit_field", "reply_format", "omit_fields", "top_logprobs", "extra_body"}
    changed = options.model_dump(include=names, exclude_defaults=True, mode="json")
    changed.pop("token_limit_field", None)  # two spellings of one limit
    return json.dumps(changed, sort_keys=True) if changed else ""


def open_judge(model: str | None, options: Mapping[str, Any]) -> OpenAIJudge:
    """Factory of `openai:MODEL`. Raises ConfigError for a missing model, a wrong option or a missing key."""
    checked = read_options("openai", OpenAIOptions, options)
    if model is None:
        raise ConfigError("judge 'openai' needs a model: write openai:MODEL, for example openai:gpt-5-mini")
    return OpenAIJudge(model, options=checked)
