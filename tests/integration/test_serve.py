"""A text tried and a feature steered from the page of a server, over a run with its weights."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import expect

from autointerp.errors import ArtefactError, InputError
from autointerp.loopback import open_server
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.runs.layout import RunLayout
from autointerp.serving.bench import Bench
from autointerp.serving.opening import Benches, Opened
from autointerp.serving.starting import open_service
from autointerp.stages.run_model import RunModel
from tests.integration.conftest import World
from tests.site.conftest import visit

__all__ = ["visit"]


@pytest.fixture(scope="module")
def bench(finished: RunLayout) -> Bench:
    return Bench(Run(finished.root))


@pytest.mark.parametrize("name", ["sae", "neurons"])
def test_what_fires_is_what_the_rules_say_of_dense_codes(finished: RunLayout, bench: Bench, name: str):
    text = "Ada crossed the river"
    found = bench.read(text)
    assert "".join(found["tokens"]) == text and len(found["ids"]) == len(found["tokens"])
    model = RunModel(Run(finished.root))
    loaded, bos = model.dictionary(name), model.subject.bos_id
    ids = [*([] if bos is None else [bos]), *found["ids"]]
    x = model.subject.activations(torch.tensor([ids]), [loaded.point])[loaded.point][0][-len(found["ids"]) :]
    values = loaded.dictionary.encode_dense(x) * loaded.rules.sign
    values = torch.where(values > loaded.rules.threshold, values - loaded.rules.threshold.clamp(max=0), 0.0)
    shelf = next(each for each in found["dictionaries"] if each["name"] == name)
    assert shelf["n_firing"] == int((values > 0).any(dim=0).sum()) > 0
    strongest = values.amax(dim=0).sort(descending=True, stable=True)
    n = len(shelf["features"])
    assert [each["max"] for each in shelf["features"]] == pytest.approx(strongest.values[:n].tolist(), rel=2e-3)
    sampled = {evidence.feature for evidence in Run(finished.root).evidence(name)}
    for each in shelf["features"]:
        own = values[:, each["feature"]]
        assert dict(each["acts"]) == pytest.approx({i: v for i, v in enumerate(own.tolist()) if v > 0}, rel=2e-3)
        assert each["is_sampled"] == (each["feature"] in sampled)
        assert each["told"] is None or each["is_sampled"]


def test_a_text_that_cannot_be_read_is_one_line(bench: Bench):
    for text in ("", "key " * 5000):
        with pytest.raises(InputError, match="prompt"):
            bench.read(text)


def test_one_model_is_held_at_a_time_and_opened_again_after_a_failure(finished: RunLayout, world: World):
    benches = Benches([Run(finished.root), Run(world.few.root)])
    first = until_open(benches, 0)
    assert first is until_open(benches, 0)
    for _ in range(2):
        with pytest.raises(ArtefactError, match=r"has no weights of '\w+'; where `rescore` made the run"):
            until_open(benches, 1)
    assert until_open(benches, 0) is not first


def until_open(benches: Benches, number: int) -> Any:
    opened: Opened = benches.take(number)
    while opened.bench is None:
        time.sleep(0.01)
        opened = benches.take(number)
    return opened.bench


@pytest.fixture
def address(finished: RunLayout, tmp_path: Path) -> Iterator[str]:
    service = open_service({"run": Run(finished.root)}, tmp_path / "pages", title="T", progress=SilentProgress())
    with open_server(0, get=service.get, post=service.post) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.browser
def test_a_text_is_tried_and_a_feature_steered_from_its_page(address: str, visit: Any):
    page = visit(f"{address}/features.html").page
    page.get_by_role("link", name="try a text, steer").click()
    expect(page.locator("#feature")).to_have_value(re.compile(r"^\w+/\d+$"))
    page.locator("#text").fill("Ada crossed the <b>river</b>")
    page.locator("#text").press("Control+Enter")
    page.locator("#status", has_text="opened in").wait_for()
    assert page.locator(".strip .token").count() > 3
    assert page.locator("#fired section").count() == 5
    page.locator(".strip .token").nth(2).press("Enter")
    assert page.locator(".strip .token").nth(2).get_attribute("aria-pressed") == "true"
    assert "What fires at token 2" in page.locator("#fired .lead").inner_text()
    page.locator("#fired .window").first.get_by_role("button", name="Steer").click()
    assert page.locator("#feature").input_value() == page.locator("#fired .verdict").first.inner_text().split("\n")[0]
    page.locator("#strength").fill("20")
    page.locator("#tokens").fill("4")
    page.locator("#steer button").click()
    page.locator("#steered .sampled").nth(1).wait_for()
    assert "KL" in page.locator("#steered").inner_text()
    page.locator("#strength").fill("big")
    page.locator("#steer button").click()
    page.locator("#steered-status", has_text="strength big: give a number such as 8.5").wait_for()
