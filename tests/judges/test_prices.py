"""Prices: data with dates and sources, the user's own first, and no price where none is known."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.errors import ConfigError
from autointerp.judges.endpoint.endpoint import OpenAIOptions
from autointerp.judges.endpoint.openai import OpenAIJudge
from autointerp.judges.endpoint.prices import Price, _own_rows, price_of, user_price_path
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import ScoreTask

OPENAI = "https://api.openai.com/v1"
DAY = datetime.date(2026, 11, 21)


@pytest.fixture(autouse=True)
def no_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOINTERP_PRICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    monkeypatch.setenv("AUTOINTERP_PRICES", str(path))
    return path


def found(base_url: str, model: str, *, at: datetime.date = DAY) -> Price:
    price = price_of(base_url, model, at=at)
    assert price is not None
    return price


def test_every_price_of_the_table_has_a_date_and_a_source_and_cached_input_is_not_dearer() -> None:
    rows = _own_rows()
    assert len(rows) > 30
    for row in rows:
        assert row.price.source.startswith("https://"), row
        assert datetime.date(2025, 1, 1) < row.price.taken <= DAY, row
        assert 0 < row.price.cached_input_usd <= row.price.input_usd <= row.price.output_usd, row
        assert not row.price.is_users
    named = [(row.hosts, row.pattern, row.first) for row in rows]
    assert len(set(named)) == len(named)


def test_a_model_is_found_by_its_name_and_by_a_dated_snapshot_of_it() -> None:
    gpt = found(OPENAI, "gpt-4o")
    assert (gpt.input_usd, gpt.cached_input_usd, gpt.output_usd, gpt.batch_frac) == (2.5, 1.25, 10.0, 0.5)
    assert found(OPENAI, "gpt-4o-2024-11-20") == gpt
    assert found(OPENAI, "gpt-4o-2024-05-13").input_usd == 5.0  # a snapshot with a price of its own
    assert found("https://api.anthropic.com/v1", "claude-haiku-4-5-20251001").output_usd == 5.0
    assert found("https://API.openai.com:443/v1", "gpt-5-mini").input_usd == 0.25


@pytest.mark.parametrize(
    ("base_url", "model"),
    [(OPENAI, "gpt-99"), (OPENAI, "gpt-4"), (OPENAI, "gpt-4o-audio"), ("https://example.org/v1", "gpt-4o")],
)
def test_what_is_in_no_table_has_no_price(base_url: str, model: str) -> None:
    assert price_of(base_url, model, at=DAY) is None


def test_a_price_for_a_time_holds_for_that_time() -> None:
    google = "https://generativelanguage.googleapis.com/v1beta/openai"
    assert found(google, "gemini-3.8-flash").input_usd == 0.75
    assert found(google, "gemini-3.8-flash", at=datetime.date(2026, 12, 31)).input_usd == 0.75
    assert found(google, "gemini-3.8-flash", at=datetime.date(2027, 1, 1)).input_usd == 1.5


def test_a_price_grows_old() -> None:
    price = found(OPENAI, "gpt-4o")
    assert not price.is_stale(price.taken + datetime.timedelta(days=120))
    assert price.is_stale(price.taken + datetime.timedelta(days=121))
    assert price.is_stale(price.taken + datetime.timedelta(days=8), days=7)


@given(
    n_input=st.integers(0, 10**7),
    n_cached=st.integers(0, 10**7),
    n_output=st.integers(0, 10**7),
    is_batch=st.booleans(),
)
def test_cached_tokens_are_priced_apart_and_a_batch_at_its_share(
    n_input: int, n_cached: int, n_output: int, is_batch: bool
) -> None:
    price = Price(2.0, 0.5, 8.0, 0.25, DAY, "https://source.example")
    usd = price.usd(input_tokens=n_input, output_tokens=n_output, cached_tokens=n_cached, is_batch=is_batch)
    n_known = min(n_cached, n_input)
    whole = ((n_input - n_known) * 2.0 + n_known * 0.5 + n_output * 8.0) / 1_000_000
    assert usd == pytest.approx(whole * (0.25 if is_batch else 1.0))


def test_a_batch_whose_discount_is_unknown_has_no_price() -> None:
    price = Price(2.0, 0.5, 8.0, None, DAY, "https://source.example")
    assert price.usd(input_tokens=1, output_tokens=1, is_batch=True) is None


MINE = """
[[endpoints]]
hosts = ["api.openai.com", "gpu.lan:8000"]
source = "my contract"
taken = 2026-11-01
models = [
    { name = "gpt-4o", input = 1.0, output = 4.0 },
    { name = "llama-*", input = 0.1, cached = 0.0, output = 0.1 },
    { name = "llama-3*", input = 0.2, output = 0.2 },
]
[[endpoints]]
hosts = ["api.openai.com"]
source = "my older contract"
taken = 2026-01-01
models = [{ name = "gpt-4o", input = 9.0, output = 9.0 }]
"""


def test_the_users_prices_go_before_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users_file(tmp_path, monkeypatch, MINE)
    mine = found(OPENAI, "gpt-4o")
    assert (mine.input_usd, mine.cached_input_usd, mine.is_users, mine.source) == (1.0, 1.0, True, "my contract")
    assert found(OPENAI, "gpt-4o", at=datetime.date(2026, 6, 1)).source == "my older contract"
    assert found(OPENAI, "gpt-4o", at=datetime.date(2025, 6, 1)).source == "my older contract"
    assert not found(OPENAI, "gpt-4o-mini").is_users
    assert found("http://gpu.lan:8000/v1", "llama-2-7b").input_usd == 0.1
    assert found("http://gpu.lan:8000/v1", "llama-3-8b").input_usd == 0.2
    assert price_of("http://gpu.lan:9000/v1", "llama-3-8b", at=DAY) is None


def test_the_users_file_lies_in_the_configuration_directory(tmp_path: Path) -> None:
    path = tmp_path / "config" / "autointerp" / "prices.toml"
    assert user_price_path() == path
    path.parent.mkdir(parents=True)
    path.write_text(MINE)
    assert found(OPENAI, "gpt-4o").is_users
    path.write_text(MINE.replace("1.0", "1.5"))
    assert found(OPENAI, "gpt-4o").input_usd == 1.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[endpoints", "no TOML"),
        (MINE.replace("input = 1.0", "input = -1.0"), r"endpoints\.0\.models\.0\.input"),
        (MINE.replace("taken = 2026-11-01", 'taken = "soon"'), r"endpoints\.0\.taken"),
        (MINE.replace("cached", "cashed"), r"endpoints\.0\.models\.1\.cashed"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_the_key(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users_file(tmp_path, monkeypatch, text)
    with pytest.raises(ConfigError, match=rf"mine\.toml.*{words}") as caught:
        price_of(OPENAI, "gpt-4o")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOINTERP_PRICES", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"AUTOINTERP_PRICES = .*none\.toml.*no such file"):
        price_of(OPENAI, "gpt-4o")


@pytest.mark.parametrize(
    ("base_url", "model", "options", "usd"),
    [
        (OPENAI, "gpt-4o", {}, (1000 * 10.0 + 20 * 2.5) / 1e6),
        (OPENAI, "gpt-4o", {"usd_per_million_input_tokens": 1.0, "usd_per_million_output_tokens": 2.0}, 2020 / 1e6),
        (OPENAI, "gpt-99", {}, None),
        ("http://localhost:8000/v1", "gpt-4o", {}, 0.0),
    ],
)
def test_a_judge_bounds_its_requests_by_options_then_table(
    base_url: str, model: str, options: dict[str, float], usd: float | None
) -> None:
    judge = OpenAIJudge(model, options=OpenAIOptions(base_url=base_url, key_env="", **options))
    request = Request(ScoreTask("e", ()), (Message("user", "four"),), max_tokens=1000)
    assert judge.bound_usd(request) == (None if usd is None else pytest.approx(usd))
