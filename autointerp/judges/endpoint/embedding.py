"""Judge `embedding`: cosines from any OpenAI-compatible `/embeddings` endpoint, configured like judge `openai`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from autointerp.errors import ConfigError, JudgeRetry, JudgeStopped
from autointerp.judges.endpoint.completion import read_usage, status_error
from autointerp.judges.endpoint.credentials import server_words
from autointerp.judges.endpoint.endpoint import OPENAI_URL, OpenAIOptions, read_key
from autointerp.judges.endpoint.identity import ask_identity, render_identity
from autointerp.judges.endpoint.openai import decode_answer, key_header
from autointerp.judges.endpoint.transport import Transport
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.options import Options, read_options
from autointerp.judges.similarity import compared_texts, similarity_reply, similarity_task

__all__ = ["EmbeddingJudge", "EmbeddingOptions", "open_judge"]

_LONGEST_TIMEOUT_S = 3600.0


class EmbeddingOptions(Options):
    """`[judges.embedding]`."""

    base_url: str = OPENAI_URL
    """The address up to and with `/v1`."""
    dialect: str | None = None
    """Kind of server (`autointerp.judges.endpoint.dialects`); None infers it from the host's name."""
    api_version: str | None = None
    """Azure's query parameter, for addresses of deployments."""
    key_env: str | None = None
    """NAME of the environment variable with the key; "" sends none, None takes the dialect's usual one."""
    key_file: Path | None = None
    """File with the key and nothing else, readable by its owner only; used in place of `key_env`."""
    timeout_s: Annotated[float, Field(gt=0.0)] | None = None
    """Time-out of one attempt, where shorter than limits.timeout_s."""
    max_concurrent: Annotated[int, Field(gt=0)] = 64
    """Most requests in flight."""
    dimensions: Annotated[int, Field(gt=0)] | None = None
    """Length of the vectors, for models that offer a choice."""
    query_prefix: str = ""
    """Text put before the explanation, for models trained with instructions, such as `query: `."""
    passage_prefix: str = ""
    """Text put before every passage, such as `passage: `."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body."""
    share_replies: bool | None = None
    """As for judge `openai`."""
    usd_per_million_input_tokens: Annotated[float, Field(ge=0.0)] | None = None
    """Price, where it differs from the published one."""

    def endpoint(self) -> OpenAIOptions:
        """Raises ConfigError for a wrong option."""
        shared = self.model_dump(exclude={"dimensions", "query_prefix", "passage_prefix"})
        if self.usd_per_million_input_tokens is not None:
            shared["usd_per_million_output_tokens"] = 0.0
        return read_options("embedding", OpenAIOptions, shared)


class EmbeddingJudge:
    def __init__(self, model: str, *, options: EmbeddingOptions) -> None:
        """Raises ConfigError when the key is missing, or the address or a proxy is unusable."""
        self._model, self._options = model, options
        self._identity = render_identity(None, {})
        self._endpoint = options.endpoint()
        try:
            self._key = read_key(self._endpoint)
            root = self._endpoint.root(model)
        except ConfigError as error:
            raise ConfigError(str(error).replace("judges.openai.", "judges.embedding.")) from None
        self._transport = Transport(
            root,
            headers=key_header(self._endpoint, self._key),
            query={} if options.api_version is None else {"api-version": options.api_version},
            max_concurrent=options.max_concurrent,
            timeout_s=options.timeout_s or _LONGEST_TIMEOUT_S,
            clean=partial(server_words, key=self._key),
        )

    @property
    def capabilities(self) -> Capabilities:
        options = self._options
        version = "" if options.api_version is None else f"?api-version={options.api_version}"
        names = {"dimensions", "query_prefix", "passage_prefix", "extra_body"}
        changed = options.model_dump(include=names, exclude_defaults=True)
        return Capabilities(
            endpoint=options.base_url + version,
            model=self._model,
            uses_task=True,
            max_concurrent=options.max_concurrent,
            variant=json.dumps({"embedding": changed}, sort_keys=True),
            has_similarities=True,
            is_shared=self._endpoint.is_shared,
            identity=self._identity,
        )

    def bound_usd(self, request: Request) -> float | None:
        # no tokenizer makes more tokens than a text has bytes
        n_bytes = sum(len(text.encode()) for text in self._texts(request))
        return self._usd(input_tokens=n_bytes, output_tokens=0)

    async def probe(self, *, run: Path | None, cache: Path | None, budget: Budget, say: Callable[[str], None]) -> None:
        """Ask, free of charge, what the endpoint serves."""
        self._identity = render_identity(await ask_identity(self._transport, self._model), {})

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeRetry, JudgeRejected or JudgeStopped, without the key."""
        texts = self._texts(request)
        body: dict[str, Any] = {**self._options.extra_body, "model": self._model, "input": texts}
        body |= {"encoding_format": "float"}
        if self._options.dimensions is not None:
            body["dimensions"] = self._options.dimensions
        answer = await self._transport.post("/embeddings", body)
        status, content = decode_answer(answer)
        if status != 200:
            raise self._error(status, content, answer.headers)
        try:
            vectors = _read_vectors(content, len(texts))
            name = content.get("model")
            usage = read_usage(content.get("usage"), self._usd)
            return similarity_reply(vectors, model=name if isinstance(name, str) else self._model, usage=usage)
        except (ValueError, TypeError, OverflowError):
            raise JudgeRetry("the endpoint sent embeddings that are no vectors of one length") from None

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _texts(self, request: Request) -> list[str]:
        task = similarity_task(request, judge="embedding")
        options = self._options
        return compared_texts(task, query_prefix=options.query_prefix, passage_prefix=options.passage_prefix)

    def _usd(self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        return self._endpoint.usd(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens)

    def _error(self, status: int, body: Any, headers: Mapping[str, str]) -> Exception:
        error = status_error(
            status,
            body,
            headers,
            endpoint=self._options.base_url,
            model=self._model,
            key_name=self._endpoint.key_name,
            clean=partial(server_words, key=self._key),
        )
        if not isinstance(error, JudgeStopped):
            return error
        said = str(error).replace("judges.openai.", "judges.embedding.").replace("/chat/completions", "/embeddings")
        return JudgeStopped(said)


def _read_vectors(body: Any, n: int) -> list[Any]:
    """In the order of the texts. Raises JudgeRetry for a malformed body."""
    data = body.get("data") if isinstance(body, dict) else None
    # servers may list them in any order
    vectors: dict[int, Any] = {}
    for place, row in enumerate(data if isinstance(data, list) else []):
        if isinstance(row, dict) and isinstance(row.get("embedding"), list):
            vectors[row.get("index", place)] = row["embedding"]
    if sorted(map(str, vectors)) != sorted(map(str, range(n))):
        raise JudgeRetry(f"the endpoint sent a body without {n} embeddings")
    return [vectors[place] for place in range(n)]


def open_judge(model: str | None, options: Mapping[str, Any]) -> EmbeddingJudge:
    """Raises ConfigError for a missing model or key, or a wrong option."""
    checked = read_options("embedding", EmbeddingOptions, options)
    if model is None:
        raise ConfigError(
            "judge 'embedding' needs a model: write embedding:MODEL, for example embedding:text-embedding-3-small"
        )
    return EmbeddingJudge(model, options=checked)
