"""A key anywhere in the config is refused with the path of where it stands, and is never repeated."""

from __future__ import annotations

import pytest

from autointerp.config.loading import load_config, parse_config
from autointerp.config.secrets import find_secret
from autointerp.errors import ConfigError
from autointerp.resources import resource

PLAIN = "swordfish-and-custard"
SHAPED = "sk-proj-0123456789abcdef"

MISPLACED = {
    "api_key": ("openai", {"api_key": PLAIN}, "api_key"),
    "apikey": ("openai", {"extra_body": {"apikey": PLAIN}}, "extra_body.apikey"),
    "nested": ("openai", {"extra_body": {"provider": {"apiKey": PLAIN}}}, "extra_body.provider.apiKey"),
    "list": ("openai", {"extra_body": {"routes": [{"token": PLAIN}]}}, "extra_body.routes.0.token"),
    "plural": ("openai", {"extra_body": {"api_keys": [PLAIN]}}, "extra_body.api_keys"),
    "plug-in": ("mine", {"access_token": PLAIN}, "access_token"),
    "camel": ("mine", {"accessToken": PLAIN}, "accessToken"),
    "client secret": ("mine", {"oauth": {"client_secret": PLAIN}}, "oauth.client_secret"),
    "password": ("mine", {"login": {"user": "me", "password": PLAIN}}, "login.password"),
    "digits": ("mine", {"password": 12345678}, "password"),
    "headers": ("mine", {"headers": {"Authorization": f"Bearer {PLAIN}"}}, "headers.Authorization"),
    "nested headers": ("mine", {"http": {"headers": {"x-api-key": PLAIN}}}, "http.headers.x-api-key"),
    "header pairs": ("mine", {"headers": [["Authorization", PLAIN]]}, "headers.0.1"),
    "header tables": ("mine", {"headers": [{"name": "X-Api-Key", "value": PLAIN}]}, "headers.0.value"),
    "header lines": ("mine", {"headers": [f"Authorization: {PLAIN}"]}, "headers.0"),
    "cookie": ("mine", {"headers": {"Cookie": PLAIN}}, "headers.Cookie"),
    "query": ("mine", {"url": f"https://host/v1?api-version=2&api_key={PLAIN}"}, "url"),
    "address": ("mine", {"url": f"https://me:{PLAIN}@host/v1"}, "url"),
    "JSON": ("mine", {"settings": f'{{"api_key": "{PLAIN}"}}'}, "settings"),
    "one word": ("mine", {"mytoken": PLAIN}, "mytoken"),
    "numbered": ("mine", {"api_key_2": PLAIN}, "api_key_2"),
    "filled": ("mine", {"api_key_value": PLAIN}, "api_key_value"),
    "secrets": ("mine", {"secrets": {"a": PLAIN}}, "secrets"),
    "auth": ("mine", {"auth": f"me:{PLAIN}"}, "auth"),
    "variable": ("openai", {"key_env": PLAIN}, "key_env"),
    "exported": ("mine", {"setup": [f"export OPENAI_API_KEY={PLAIN}"]}, "setup.0"),
    "shape": ("mine", {"deep": {"er": [1, {"note": SHAPED}]}}, "deep.er.1.note"),
    "name": ("mine", {"seen": {SHAPED: 1}}, "seen."),
}


@pytest.mark.parametrize(("judge", "options", "place"), MISPLACED.values(), ids=MISPLACED)
def test_a_misplaced_key_is_refused_where_it_stands(judge: str, options: dict, place: str) -> None:
    tree = {"dictionaries": [{"name": "neurons", "kind": "identity"}], "judges": {judge: options}}
    with pytest.raises(ConfigError) as caught:
        parse_config(tree)
    message = str(caught.value)
    assert f"judges.{judge}.{place}" in message
    assert "key_env = 'NAME'" in message
    assert not [secret for secret in (PLAIN, SHAPED, "12345678") if secret in message]


@pytest.mark.parametrize("override", [f"explain.judge='openai:{SHAPED}'", "corpus.path='https://me:pass@host/a.txt'"])
def test_a_key_elsewhere_is_refused_by_its_look(override: str) -> None:
    with pytest.raises(ConfigError, match=override.partition("=")[0]) as caught:
        load_config("demo", [override])
    assert "0123456789" not in str(caught.value)
    assert "me:pass" not in str(caught.value)


def test_a_wrong_value_below_judges_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("demo", [f"judges.mine='{PLAIN}'"])
    assert PLAIN not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"key_env": "MY_KEY", "key_file": "/home/me/.key", "max_tokens": 300, "token_limit_field": "max_tokens"},
        {"extra_body": {"stop_token_ids": [1, 2], "eos_token": "</s>", "prompt_cache_key": "scoring", "top_k": 5}},
        {"extra_body": {"logit_bias": {"50256": -100}, "tokenizer": "mine", "echo_token": True, "api_key": ""}},
        {
            "auth": "bearer",
            "max_token": 4096,
            "max_tokens": 4096,
            "key_env": "",
            "stop_tokens": ["</s>"],
            "keys": ["a"],
        },
        {"note": "Say the token: yes or no, please.", "usd_per_million_input_tokens": 1.0, "path": "/data/hf_datasets"},
        {"headers": [["X-Title", "interpretability"], {"name": "X-Title", "value": "interpretability"}]},
    ],
)
def test_ordinary_options_are_no_secrets(options: dict) -> None:
    assert find_secret(options) is None


@pytest.mark.parametrize("path", sorted(resource("configs").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_passes(path) -> None:
    load_config(path)
