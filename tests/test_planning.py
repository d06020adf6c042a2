"""The plan: requests as the run would send them, prices from the config, and nothing loaded."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autointerp.cli.main import _run
from autointerp.cli.plan_text import WIDTH, plan_to_json, render_plan
from autointerp.config.loading import load_config, parse_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, PluginError
from autointerp.judges.endpoint.dialects import Wire
from autointerp.judges.endpoint.endpoint import OpenAIOptions
from autointerp.judges.endpoint.prices import price_of
from autointerp.judges.endpoint.probe_memory import Finding, remember
from autointerp.planning import ASSUMED, Plan, make_plan

PRICES = {"usd_per_million_input_tokens": 2.0, "usd_per_million_output_tokens": 10.0}


def config(*overrides: str, **sections: object) -> Config:
    dictionaries = [{"name": "sae", "kind": "relu", "n_features": 100}, {"name": "neurons", "kind": "identity"}]
    return parse_config({"dictionaries": dictionaries, **sections}, overrides)


def counts(plan: Plan, column: str = "n_requests") -> dict[tuple[str, str | None], Any]:
    return {(stage.dictionary, stage.scorer): getattr(stage, column) for stage in plan.stages}


def test_requests_are_features_and_controls_by_batches_of_windows() -> None:
    """The formula worked by hand: 20 + 20 + 10 windows by 15 are 4 requests; a quarter of the features are
    scored again with a shuffled explanation, a tenth with an empty and a tenth with a generic one."""
    chosen = config("harvest.n_features=160", score={"scorers": [{"name": "detection", "windows_per_request": 15}]})
    assert counts(make_plan(chosen)) == {
        ("sae", None): 100,  # the dictionary has no more
        ("sae", "detection"): 4 * (100 + 25 + 10 + 10),
        ("neurons", None): 160,
        ("neurons", "detection"): 4 * (160 + 40 + 16 + 16),
    }
    without = config("controls.shuffled=0.0", "controls.empty=0.0", "controls.generic=0.0")
    assert counts(make_plan(without))["sae", "detection"] == 5 * 100
    assert make_plan(chosen).total("n_requests") == 100 + 4 * 145 + 160 + 4 * 232


@pytest.mark.parametrize(
    ("explainer", "scorer", "told"),
    [
        ("logit_weights", "detection", "'logit_weights' says what a feature does to the output and nothing of where"),
        ("pattern", "intervention", "'pattern' says where a feature fires and nothing of what it does to the output"),
    ],
)
def test_an_explainer_that_tells_nothing_of_what_is_asked_is_refused(explainer: str, scorer: str, told: str) -> None:
    pair = {"explain": {"explainers": [{"name": explainer}]}, "score": {"scorers": [{"name": scorer}]}}
    with pytest.raises(ConfigError, match=f"{told}.*score.scorers '{scorer}'.*autointerp rescore"):
        make_plan(config(**pair))


def test_the_papers_recipe_is_planned_with_its_preset() -> None:
    plan = make_plan(load_config("oneill2024_gpt2_l9"), difference=0.05)
    assert counts(plan)["sae", None] == 200
    assert counts(plan)["sae", "marked"] == 290  # 5 + 5 windows in one request; 50 + 20 + 20 controls
    assert plan.window_tokens == 36
    assert plan.training_sites == ("resid_pre.9",)
    assert (plan.power.needed, plan.power.is_enough) == (393, False)
    assert plan.power.smallest == pytest.approx(0.07, abs=1e-3)
    price = price_of("https://api.openai.com/v1", "gpt-4o")
    assert price is not None
    tokens = {name: int(plan.total(name) or 0) for name in ("input_tokens", "output_tokens")}
    assert plan.total("usd") == pytest.approx(price.usd(**tokens))
    assert any(f"as of {price.taken}" in note and price.source in note for note in plan.notes)


def test_the_features_needed_are_what_the_config_then_has() -> None:
    needed = make_plan(config(), difference=0.1).power.needed
    assert needed == 99  # 2 * (2.8016 * 0.25 / 0.1)^2 = 98.1
    assert make_plan(config(f"harvest.n_features={needed}"), difference=0.1).power.is_enough
    assert make_plan(config(f"harvest.n_features={needed - 1}"), difference=0.1).power.is_enough is False


def test_prices_and_time_follow_from_the_tokens() -> None:
    chosen = config(explain={"judge": "openai:m"}, score={"judge": "openai:m"}, judges={"openai": PRICES})
    plan = make_plan(chosen, assumed=replace(ASSUMED, latency_s=3.0))
    total = plan_to_json(plan)["total"]
    assert total["usd"] == pytest.approx((total["input_tokens"] * 2.0 + total["output_tokens"] * 10.0) / 1e6)
    assert total["usd_max"] > total["usd"]
    assert total["seconds"] == pytest.approx(total["n_requests"] * 3.0 / 64)
    n_tokens = counts(plan, "input_tokens")["sae", None]
    assert counts(plan, "usd_max")["sae", None] == pytest.approx((n_tokens * 2.0 + 100 * 500 * 10.0) / 1e6)
    assert not plan.notes


def test_longer_windows_and_more_of_them_cost_more_tokens() -> None:
    small, long = make_plan(config()), make_plan(config("harvest.window_left=64"))
    assert counts(long, "input_tokens")["sae", None] > 1.3 * counts(small, "input_tokens")["sae", None]
    assert counts(long)["sae", "detection"] == counts(small)["sae", "detection"]
    more = make_plan(config("explain.explainers=[{name='windows', n_windows=30}]"))
    assert counts(more, "input_tokens")["sae", None] > 1.3 * counts(small, "input_tokens")["sae", None]


def test_an_old_price_is_said_to_be_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prices.toml"
    monkeypatch.setenv("AUTOINTERP_PRICES", str(file))
    for taken, is_old in (("2020-01-01", True), (datetime.datetime.now(tz=datetime.UTC).date().isoformat(), False)):
        models = '[{ name = "m", input = 2.0, output = 10.0 }]'
        file.write_text(f'[[endpoints]]\nhosts = ["*"]\nsource = "mine"\ntaken = {taken}\nmodels = {models}\n')
        plan = make_plan(config(explain={"judge": "openai:m"}, score={"judge": "openai:m"}))
        (note,) = plan.notes
        assert f"as of {taken}" in note
        assert ("old, check it" in note) == is_old
        assert plan.total("usd") is not None


@pytest.mark.parametrize(
    ("judge", "options", "usd"),
    [
        ("pattern", {}, 0.0),
        ("openai:m", {"base_url": "http://localhost:8000/v1"}, 0.0),
        ("openai:m", {"base_url": "https://example.org/v1"}, None),
    ],
)
def test_what_is_free_costs_nothing_and_what_is_unknown_is_not_guessed(
    judge: str, options: dict[str, str], usd: float | None
) -> None:
    plan = make_plan(config(explain={"judge": judge}, score={"judge": judge}, judges={"openai": options}))
    assert plan.total("usd") == usd
    assert bool(plan.notes) == (usd is None)


def test_all_features_are_as_many_as_the_dictionary_has_where_that_is_known() -> None:
    plan = make_plan(config("harvest.n_features=all"))
    assert counts(plan, "n_features") == {
        ("sae", None): 100,
        ("sae", "detection"): 100,
        ("neurons", None): None,
        ("neurons", "detection"): None,
    }
    assert plan.total("n_requests") is None
    assert "neurons" in plan.notes[0]


def test_settings_that_can_score_nothing_are_told() -> None:
    plan = make_plan(config("harvest.n_random=3", "harvest.n_same_document=0"))
    assert counts(plan)["sae", "detection"] == 0
    assert any("3 of 20 negatives" in note for note in plan.notes)


def test_ceilings_that_stop_the_run_are_told() -> None:
    assert any("max_requests = 10" in note for note in make_plan(config("limits.max_requests=10")).notes)
    dear = config(
        "limits.max_usd=0.001", explain={"judge": "openai:m"}, score={"judge": "openai:m"}, judges={"openai": PRICES}
    )
    assert any("max_usd = 0.001" in note for note in make_plan(dear).notes)


@pytest.mark.parametrize("difference", [0.0, -0.1, 1.5, float("nan")])
def test_a_difference_that_is_none_is_an_error(difference: float) -> None:
    with pytest.raises(ConfigError, match="--detect"):
        make_plan(config(), difference=difference)


def test_judges_are_checked_without_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    make_plan(config(explain={"judge": "openai:m"}))  # no key, no complaint
    with pytest.raises(PluginError, match="did you mean 'pattern'"):
        make_plan(config("score.judge=patern"))
    with pytest.raises(ConfigError, match=r"judges\.openai\.timeout"):
        make_plan(config("score.judge=openai:m", judges={"openai": {"timeout": 3}}))
    with pytest.raises(ConfigError, match="needs a model"):
        make_plan(config("score.judge=openai"))


@pytest.mark.parametrize("recipe", ["demo", "stories260k", "oneill2024_gpt2_l9", "bricken2023_one_layer"])
def test_the_text_fits_80_columns(recipe: str) -> None:
    text = render_plan(make_plan(load_config(recipe), difference=0.02))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "made-up windows" in text


def test_a_million_features_and_long_names_fit_80_columns() -> None:
    entry = {"name": "a-dictionary-with-a-rather-long-name", "kind": "topk", "n_features": 2_000_000}
    chosen = config(
        "harvest.n_features=1000000",
        dictionaries=[entry],
        judges={"openai": PRICES},
        explain={"judge": "openai:m"},
        score={"judge": "openai:m"},
    )
    plan = make_plan(chosen)
    text = render_plan(plan)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    tokens = counts(plan, "input_tokens")["a-dictionary-with-a-rather-long-name", "detection"]
    assert f"{tokens / 1e6:,.1f}M" in text


def test_the_command_prints_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["plan", "oneill2024_gpt2_l9", "--detect", "0.05", "--set", "harvest.n_features=400"]) == 0
    assert "the config has 400" in " ".join(capsys.readouterr().out.split())
    assert _run(["plan", "demo", "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["total"]["n_requests"] == sum(stage["n_requests"] for stage in tree["stages"])
    assert tree == json.loads(json.dumps(plan_to_json(make_plan(load_config("demo")))))
    assert _run(["plan", "no_such_recipe"]) == 2


def test_planning_loads_neither_torch_nor_a_client() -> None:
    code = (
        "import sys; from autointerp.cli.main import _run; assert _run(['plan', 'oneill2024_gpt2_l9']) == 0; "
        "sys.exit(bool({'torch', 'openai', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def thinking(model: str, **options: Any) -> Config:
    judge = f"openai:{model}"
    return config(explain={"judge": judge}, score={"judge": judge}, judges={"openai": PRICES | options})


def test_what_a_model_thinks_is_priced() -> None:
    plain, deep = (make_plan(thinking(model)) for model in ("gpt-4o", "gpt-5-mini"))
    n_requests = int(plain.total("n_requests") or 0)
    assert deep.total("n_requests") == n_requests
    assert deep.total("input_tokens") == plain.total("input_tokens")
    more = n_requests * ASSUMED.thinking_tokens
    assert (deep.total("output_tokens") or 0) - (plain.total("output_tokens") or 0) == more
    assert (deep.total("usd") or 0) - (plain.total("usd") or 0) == pytest.approx(more * 10e-6)
    assert (deep.total("usd_max") or 0) - (plain.total("usd_max") or 0) == pytest.approx(n_requests * 4096 * 10e-6)
    assert [note for note in deep.notes if "thinks before it replies: 600 tokens each" in note]
    assert not [note for note in plain.notes if "thinks" in note]


@pytest.mark.parametrize(("effort", "n_tokens"), [("minimal", 0), ("low", 240), ("high", 1800), ("odd", 600)])
def test_less_effort_is_less_thought(effort: str, n_tokens: int) -> None:
    plan = make_plan(thinking("gpt-5-mini", extra_body={"reasoning_effort": effort}))
    assert plan.total("output_tokens") == n_tokens * (plan.total("n_requests") or 0) + (
        make_plan(thinking("gpt-4o")).total("output_tokens") or 0
    )


@pytest.mark.parametrize("n_thoughts", [0, 250])
def test_what_a_probe_measured_goes_before_what_a_name_lets_assume(tmp_path: Path, n_thoughts: int) -> None:
    chosen = thinking("gpt-5-mini")
    chosen = chosen.model_copy(update={"limits": chosen.limits.model_copy(update={"cache": tmp_path})})
    wire = Wire("max_tokens", "none", (), 0, thinking_tokens=1024 if n_thoughts else 0)
    at = datetime.datetime.now(datetime.UTC).isoformat()
    about = OpenAIOptions(**PRICES).about("gpt-5-mini")
    remember(
        Finding(wire, (), at, 3, serves={"id": "x"}, n_thoughts=n_thoughts), about, run=None, cache=tmp_path / "probes"
    )
    plan, plain = make_plan(chosen), make_plan(thinking("gpt-4o"))
    more = (plan.total("output_tokens") or 0) - (plain.total("output_tokens") or 0)
    assert more == (plan.total("n_requests") or 0) * 2 * n_thoughts
    assert any("500 tokens each, twice what its probe of 20" in note for note in plan.notes) is bool(n_thoughts)
