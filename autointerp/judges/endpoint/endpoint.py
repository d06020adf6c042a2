"""Options of judge `openai`."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, field_validator, model_validator

from autointerp.config.secrets import find_secret
from autointerp.errors import ConfigError
from autointerp.judges.endpoint.credentials import key_from_environment, key_from_file
from autointerp.judges.endpoint.dialects import (
    DIALECTS,
    Dialect,
    Omittable,
    ReplyFormat,
    TokenLimit,
    Wire,
    find_dialect,
)
from autointerp.judges.options import Options

__all__ = ["OPENAI_URL", "OpenAIOptions", "is_on_this_machine", "read_key"]

OPENAI_URL = "https://api.openai.com/v1"

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_KEY_PREFIXES = ("sk-", "sk_", "gsk_", "xai-", "hf_", "AIza", "Bearer ")

Price = Annotated[float, Field(ge=0.0)]


class OpenAIOptions(Options):
    """`[judges.openai]`."""

    base_url: str = OPENAI_URL
    """The address up to and with `/v1`."""
    replicas: tuple[str, ...] = ()
    """Further addresses that serve the same model; prompts that begin alike go to one of them, and
    limits.max_concurrent is shared out evenly.
    """
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
    max_concurrent: Annotated[int, Field(gt=0)] = 256
    """Most requests in flight, where fewer than limits.max_concurrent."""
    probe: Literal["auto", "off", "again"] = "auto"
    """Test by small requests what the endpoint honours: `auto` once and remember it, `again` once more. Fields set
    below are not tested.
    """
    decisions: Literal["auto", "never"] = "auto"
    """`auto` sends scoring questions that want probabilities to `/decisions` where available."""
    token_limit_field: TokenLimit | None = None
    """Field that limits a reply's length; probed where left out."""
    reply_format: ReplyFormat | None = None
    """Form in which replies are requested; probed where left out."""
    omit_fields: tuple[Omittable, ...] | None = None
    """Request fields the endpoint does not accept."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    """Alternatives per token where probabilities are wanted; 0 where the endpoint has none."""
    fold_system: bool | None = None
    """Whether the system message joins the user's, for models that refuse it."""
    thinking_tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens beyond `max_tokens` for thinking. Left out: four times what the probe measured, at least 1,024 for a
    thinking model.
    """
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, such as `reasoning_effort = "low"`."""
    share_replies: bool | None = None
    """Whether runs share replies through the cache. Left out: not from this machine, where another model may take the
    same name.
    """
    usd_per_million_input_tokens: Price | None = None
    """Prices, where they differ from the published ones."""
    usd_per_million_cached_input_tokens: Price | None = None
    """Input from the endpoint's cache; left out, at the normal input price."""
    usd_per_million_output_tokens: Price | None = None
    """Thinking counts as output."""
    batch_price_frac: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Price in a batch file, as a share of the prices above."""

    @field_validator("dialect")
    @classmethod
    def _check_dialect(cls, value: str | None) -> str | None:
        if value is None or value in DIALECTS:
            return value
        near = get_close_matches(value, DIALECTS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ValueError(f"there is no such dialect; {hint}there are: {', '.join(DIALECTS)}")

    @field_validator("key_env")
    @classmethod
    def _check_key_env(cls, value: str | None) -> str | None:
        is_name = value is not None and (_VARIABLE.fullmatch(value) is not None or value in os.environ)
        if value and (value.startswith(_KEY_PREFIXES) or not is_name):
            raise ValueError(
                "is no NAME of an environment variable (its value is not repeated here, it may be a key); "
                "export the key, e.g. as OPENAI_API_KEY, and give that name"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            has_place = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            has_place = False
        if not has_place:
            raise ValueError("must be an http:// or https:// address, such as http://localhost:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("holds a user name, password or query; keys belong into the variable key_env names")
        return value.rstrip("/")

    @field_validator("replicas")
    @classmethod
    def _check_replicas(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(cls._check_base_url, value))

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, value: dict[str, Any]) -> dict[str, Any]:
        secret = find_secret(value)
        if secret is not None:
            raise ValueError(f"field '{secret}' looks like a secret; keys belong into the variable key_env names")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> OpenAIOptions:
        if self.key_file is not None and self.key_env:
            raise ValueError("key_file and key_env are both given; keep the key in one place and drop the other")
        given = {name for name in ("input", "output") if getattr(self, f"usd_per_million_{name}_tokens") is not None}
        if len(given) == 1 or (not given and self.usd_per_million_cached_input_tokens is not None):
            missing = next(name for name in ("input", "output") if name not in given)
            raise ValueError(
                f"usd_per_million_{missing}_tokens is missing: one price without the other would count as free; "
                "give both, 0 for what is free, or none"
            )
        return self

    @property
    def kind(self) -> Dialect:
        return DIALECTS[self.dialect] if self.dialect is not None else find_dialect(self.base_url)

    @property
    def key_name(self) -> str:
        """Where the key is kept; "" where none is sent."""
        if self.key_file is not None:
            return f"key_file {self.key_file}"
        variable = self.kind.key_env if self.key_env is None else self.key_env
        return f"environment variable {variable}" if variable else ""

    @property
    def body(self) -> dict[str, Any]:
        """Fields sent with every request."""
        return {**self.kind.extra_body, **self.extra_body}

    @property
    def place(self) -> str:
        """Address with its API version."""
        return self.base_url + ("" if self.api_version is None else f"?api-version={self.api_version}")

    @property
    def pinned(self) -> frozenset[str]:
        """Fields set by the options."""
        names = ("token_limit_field", "reply_format", "omit_fields", "top_logprobs", "fold_system", "thinking_tokens")
        given = {name for name in names if getattr(self, name) is not None}
        return frozenset(given | ({"decisions"} if self.decisions == "never" else set()))

    def about(self, model: str) -> dict[str, Any]:
        """Identity under which a probe's finding is remembered."""
        return {
            "endpoint": self.place,
            "model": model,
            "dialect": self.kind.name,
            "body": self.body,
            "given": {name: self.model_dump(mode="json")[name] for name in sorted(self.pinned)},
        }

    @property
    def is_shared(self) -> bool:
        """Whether replies are shared between runs."""
        return not is_on_this_machine(self.base_url) if self.share_replies is None else self.share_replies

    def wire(self, model: str, found: Wire | None = None) -> Wire:
        """Form of requests: by the options, else the probe's finding, else the dialect."""
        base = found or self.kind.wire(model)
        return Wire(
            token_limit_field=self.token_limit_field or base.token_limit_field,
            reply_format=self.reply_format or base.reply_format,
            omit_fields=base.omit_fields if self.omit_fields is None else tuple(sorted(self.omit_fields)),
            top_logprobs=base.top_logprobs if self.top_logprobs is None else self.top_logprobs,
            has_decisions=base.has_decisions and self.decisions == "auto",
            fold_system=base.fold_system if self.fold_system is None else self.fold_system,
            thinking_tokens=base.thinking_tokens if self.thinking_tokens is None else self.thinking_tokens,
        )

    def root(self, model: str) -> str:
        """Address above `/chat/completions`. Raises ConfigError for Azure without `api_version`."""
        path = urlsplit(self.base_url).path
        if self.kind.name != "azure" or path.endswith("/v1"):
            return self.base_url
        if self.api_version is None:
            raise ConfigError(
                f"judges.openai.base_url = '{self.base_url}': Azure's deployments need api_version; set it, or give "
                "the address that ends in /openai/v1"
            )
        return self.base_url if "/deployments/" in path else f"{self.base_url}/openai/deployments/{quote(model, '')}"

    def usd(self, *, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """Price of a reply; None when unknown, 0 on this machine. `input_tokens` include `cached_tokens`."""
        usd_in, usd_out = self.usd_per_million_input_tokens, self.usd_per_million_output_tokens
        if usd_in is None or usd_out is None:
            return 0.0 if is_on_this_machine(self.base_url) else None
        usd_cached = self.usd_per_million_cached_input_tokens
        n_cached = min(cached_tokens, input_tokens)
        spent = (input_tokens - n_cached) * usd_in + n_cached * (usd_in if usd_cached is None else usd_cached)
        return (spent + output_tokens * usd_out) / 1e6


def is_on_this_machine(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def read_key(options: OpenAIOptions, environment: Mapping[str, str] = os.environ) -> str | None:
    """None where none is needed. Raises ConfigError for a missing or malformed key."""
    if options.key_file is not None:
        return key_from_file(options.key_file.expanduser())
    name = options.kind.key_env if options.key_env is None else options.key_env
    if not name:
        return None
    is_needed = not is_on_this_machine(options.base_url)
    return key_from_environment(name, address=options.base_url, is_needed=is_needed, environment=environment)
