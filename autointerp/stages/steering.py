"""Steering as it is asked for in words: strengths such as `2x`, places such as `0,3,-1`. Messages name the setting."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.errors import ConfigError
from autointerp.interventions.prompts import encode_prompts
from autointerp.interventions.steering import PLACES, Steered, steer, where
from autointerp.stages.run_model import RunFeature

__all__ = ["steer_in_words"]


def steer_in_words(
    held: RunFeature,
    texts: Sequence[str],
    *,
    strengths: Sequence[str],
    at: str,
    n_tokens: int,
    temperature: float,
    seed: int,
) -> list[Steered]:
    """Every prompt under every strength. Raises ConfigError for a strength, a place or a number of tokens that cannot
    be, InputError for a prompt that does not fit.
    """
    prompts = encode_prompts(held.subject, texts)
    limit = held.subject.max_positions
    if limit is not None and prompts.tokens.shape[1] + n_tokens > limit:
        room = limit - prompts.tokens.shape[1]
        raise ConfigError(f"tokens {n_tokens}: the subject has room for {room} tokens behind the longest prompt")
    values = [_value(text, held) for text in strengths]
    places = at if at in PLACES else _positions(at)
    try:
        where(prompts, places, n_tokens=0)
    except ValueError as error:
        raise ConfigError(f"at {at}: {error}") from None
    return steer(
        held.subject,
        held.dictionary,
        held.point,
        held.feature,
        prompts,
        values=values,
        at=places,
        n_tokens=n_tokens,
        temperature=temperature,
        seed=seed,
    )


def _value(text: str, held: RunFeature) -> float:
    """A strength in the codes' units."""
    is_multiple = text.endswith("x")
    try:
        number = float(text.removesuffix("x"))
    except ValueError:
        raise ConfigError(f"strength {text}: give a number such as 8.5, or a multiple such as 2x") from None
    if not is_multiple:
        return number
    if held.max_activation is None:
        raise ConfigError(
            f"strength {text}: '{held.name}' is not among the run's sampled features, so its largest activation is not "
            "known; give the value itself, such as 8.5"
        )
    return held.value(number * held.max_activation) if number else 0.0


def _positions(at: str) -> list[int]:
    try:
        return [int(part) for part in at.split(",")]
    except ValueError:
        raise ConfigError(f"at {at}: use one of {', '.join(PLACES)}, or whole numbers such as 0,3,-1") from None
