"""The registry of released dictionaries is whole, and its files come from the hub's cache, the hub, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.sites import Site
from autointerp.errors import InputError
from autointerp.hub import HubUnreachable
from autointerp.pretrained import releases
from autointerp.pretrained.releases import Release, ReleasedFiles, fetch_released, find_release, named_releases
from sae_core.foreign.reading import FORMATS
from tests.integration.commands import call

FILES = ReleasedFiles("some/saes", ("layer_3/cfg.json", "layer_3/sae_weights.safetensors"))


def _options(release: Release) -> dict[str, str]:
    return {key: values[0] for key, values in release.options.items()}


def test_every_release_names_files_for_every_layer_and_site() -> None:
    assert len(named_releases()) > 50
    seen: set[tuple[str, str]] = set()
    for name, release in named_releases().items():
        assert release.layout in FORMATS and release.subject.count("/") == 1, name
        assert set(release.files) <= set(get_args(Site)) and release.writes in (None, *get_args(Site))
        assert release.layers == tuple(sorted(set(release.layers)))
        for site in release.files:
            for layer in release.layers:
                found = release.locate(site=site, layer=layer, options=_options(release))
                assert "{" not in found.repository + "".join(found.paths) and found.repository.count("/") == 1
                assert (found.repository, found.paths[0]) not in seen, name
                seen.add((found.repository, found.paths[0]))


@pytest.mark.parametrize(
    ("name", "where", "wanted"),
    [
        (
            "gemma-scope-2b-pt-res-16k",
            {"site": "resid_post", "layer": 12},
            ("google/gemma-scope-2b-pt-res", "layer_12/width_16k/average_l0_82/params.npz"),
        ),
        (
            "gemma-scope-2b-pt-res-16k",
            {"site": "resid_post", "layer": 12, "options": {"l0": 22}},
            ("google/gemma-scope-2b-pt-res", "layer_12/width_16k/average_l0_22/params.npz"),
        ),
        (
            "gemma-scope-2-1b-it",
            {"site": "attn_z", "layer": 7, "options": {"width": "262k", "l0": "big"}},
            ("google/gemma-scope-2-1b-it", "attn_out_all/layer_7_width_262k_l0_big/params.safetensors"),
        ),
        (
            "qwen-scope-3-8b-base-64k",
            {"site": "resid_post", "layer": 35, "options": {"l0": "100"}},
            ("Qwen/SAE-Res-Qwen3-8B-Base-W64K-L0_100", "layer35.sae.pt"),
        ),
        (
            "llama-scope-lxm",
            {"site": "mlp_out", "layer": 0, "options": {"width": "32x"}},
            ("fnlp/Llama3_1-8B-Base-LXM-32x", "Llama3_1-8B-Base-L0M-32x/hyperparams.json"),
        ),
    ],
)
def test_options_choose_one_dictionary(name: str, where: dict, wanted: tuple[str, str]) -> None:
    found = find_release(name).locate(site=where["site"], layer=where["layer"], options=where.get("options", {}))
    assert (found.repository, found.paths[0]) == wanted


@pytest.mark.parametrize(
    ("name", "where", "message"),
    [
        ("gemma-scope-2-1b-pt", {"site": "mlp_post"}, "site = 'mlp_post': .* has resid_post, mlp_out, attn_z"),
        ("gemma-scope-2-1b-pt", {"layer": 26}, "layer = 26: .* has layers 0 to 25"),
        ("goodfire-llama-3.1-8b-instruct", {"layer": 3}, "layer = 3: .* has layer 19"),
        ("gemma-scope-2-1b-pt", {}, "options.width = None: must be one of 16k, 262k"),
        ("gemma-scope-2-1b-pt", {"options": {"widht": "16k"}}, "options.widht: .* has width, l0"),
        ("gpt2-small-res-jb", {"site": "resid_pre", "options": {"k": 3}}, "options.k: .* has no options"),
    ],
)
def test_what_a_release_does_not_have_is_told_by_key(name: str, where: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_release(name).locate(**{"site": "resid_post", "layer": 1, "options": {}} | where)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'gpt2-small-res-jb'"):
        find_release("gpt2-small-res-jbb")
    with pytest.raises(ValueError, match=r"dictionaries\.sae\.release = 'nothing' is not known"):
        DictionaryEntry.model_validate({"name": "sae", "kind": "release", "release": "nothing"})
    with pytest.raises(ValueError, match="kind 'release' but no release; add release = 'NAME'"):
        DictionaryEntry.model_validate({"name": "sae", "kind": "release"})


def test_the_site_of_a_release_with_one_is_taken() -> None:
    def site(**keys: str) -> str | None:
        return DictionaryEntry.model_validate({"name": "sae", "kind": "release", **keys}).site

    assert site(release="gpt2-small-res-jb") == "resid_pre"
    assert site(release="gpt2-small-res-jb", site="resid_post") == "resid_post"
    assert site(release="gemma-scope-2-1b-pt") is None


def test_what_is_in_the_hubs_cache_needs_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--saes"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    for path in FILES.paths:
        file = repository / "snapshots/abc" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    monkeypatch.setattr(releases, "look_up", lambda *_, **__: pytest.fail("the hub was asked"))
    assert fetch_released(FILES) == repository / "snapshots/abc" / FILES.paths[0]


def test_a_hub_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> str:
        raise HubUnreachable("offline mode")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(releases, "look_up", unreachable)
    with pytest.raises(InputError, match=r"some/saes is not in .* cache, .*offline mode.*kind = 'load'") as caught:
        fetch_released(FILES)
    assert "\n" not in str(caught.value)


def test_files_are_downloaded_at_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str | None]] = []

    def download(repository: str, path: str, *, revision: str | None = None) -> str:
        asked.append((repository, path, revision))
        return str(tmp_path / path)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(releases, "look_up", lambda *_, **__: "c0ffee")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert fetch_released(FILES) == tmp_path / FILES.paths[0]
    assert asked == [("some/saes", path, "c0ffee") for path in FILES.paths]

    for error, message in (
        (EntryNotFoundError("404: Entry Not Found\nmore"), r"some/saes has not all of layer_3/cfg.json, .*404"),
        (LocalEntryNotFoundError("no connection"), r"broke off \(no connection\)"),
        (OSError("no space left"), r"broke off \(no space left\)"),
    ):

        def fail(*_: object, error: Exception = error, **__: object) -> str:
            raise error

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
        with pytest.raises(InputError, match=message):
            fetch_released(FILES)


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    text = call(capsys, "dictionaries", "list").out
    assert "gemma-scope-2-1b-pt: google/gemma-3-1b-pt, resid_post, mlp_out, attn_z, layers 0 to 25" in text
    assert "llama-3.2-1b-clt-524k: meta-llama/Llama-3.2-1B, resid_mid -> mlp_out" in text
    listed = json.loads(call(capsys, "dictionaries", "list", "--json").out)
    assert [each["name"] for each in listed] == list(named_releases())
    assert {"repository", "layout", "subject", "files", "layers", "licence"} <= set(listed[0])
