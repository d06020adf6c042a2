"""The site as files, and in a real browser from disk."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.cli.main import _run
from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.site.building import build_site
from autointerp.site.gathering import gather_runs
from tests.board.test_report import Loads

Go = Callable[..., Any]
N_ROWS = 6  # three runs of two dictionaries


@pytest.fixture(scope="session")
def site(world: Path) -> Path:
    return world / "site"


def data_of(path: Path) -> Any:
    name, content = json.loads(f"[{path.read_text(encoding='utf-8').strip()[len('autointerpData(') : -1]}]")
    assert path.with_suffix("").as_posix().endswith(f"data/{name}")
    return content


def test_pages_load_their_own_folder_alone(site: Path):
    for name in ("index.html", "features.html"):
        loads = Loads()
        loads.feed((site / name).read_text(encoding="utf-8"))
        for url in loads.urls:
            path = re.split("[#?]", url)[0]
            assert not path or path == "data:," or (site / path).is_file(), url
        assert loads.policy.startswith("default-src 'none'")
        assert "unsafe" not in loads.policy


def test_every_feature_with_every_verdict_and_reply_is_there(world: Path, site: Path):
    catalog = data_of(site / "data" / "catalog.js")
    runs = gather_runs([world / "runs"])
    assert {shelf["run"] for shelf in catalog["shelves"]} == set(runs)
    shelf = next(s for s in catalog["shelves"] if s["label"] == "first/sae")
    number = catalog["shelves"].index(shelf)
    columns, cards = data_of(site / f"data/{number}/columns.js"), data_of(site / f"data/{number}/0.js")
    run = Run(world / "runs" / "first")
    assert columns["feature"] == [e.feature for e in run.evidence("sae")]
    with run.open_journal() as journal:
        verdicts = [v for v in journal.load_verdicts("sae") if v.feature == columns["feature"][0]]
    own = [v for v in verdicts if v.control is None]
    answers = [answer for w in cards[0]["judged"] for answer in w["answers"]]
    assert len([a for a in answers if not a[1]]) == len(own)
    assert len([a for a in answers if a[1]]) == len(verdicts) - len(own)
    for answer in answers:
        reply = cards[0]["replies"][answer[4]]
        assert 1 <= answer[5] <= reply["n"]
        assert json.loads(reply["text"])


def test_downloads_hold_the_board(site: Path):
    with (site / "board.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * N_ROWS
    assert len(json.loads((site / "board.json").read_text(encoding="utf-8"))["entries"]) == 2 * N_ROWS


def test_no_folder_of_this_machine_and_no_judges_address_is_told(world: Path, site: Path):
    told = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*") if p.suffix in (".html", ".js", ".toml"))
    assert str(world) not in told
    assert "judges" not in tomllib.loads((site / "data" / "config-0.toml").read_text(encoding="utf-8"))


def test_the_same_runs_give_the_same_site_whatever_is_named_twice(world: Path, site: Path, tmp_path: Path):
    runs = gather_runs([world / "runs", world / "runs" / "first"])
    build_site(runs, tmp_path / "again", title="other", progress=SilentProgress())
    build_site(runs, tmp_path / "again", title="other", progress=SilentProgress())  # over the earlier one
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.js")}
        for folder in (site, tmp_path / "again")
    )
    assert first == second


def test_a_folder_that_is_no_site_is_left_alone(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something that is no site"):
        build_site(gather_runs([world / "runs" / "first"]), tmp_path, title="x", progress=SilentProgress())
    assert _run(["site", str(world / "runs" / "first"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_command_says_where_the_site_is(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert _run(["site", str(world / "runs" / "first"), "--out", str(tmp_path / "s"), "--title", "T"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "s" / "index.html")


@pytest.mark.browser
def test_from_the_board_to_the_reply_behind_the_worst_verdict_in_four_clicks(site: Path, visit: Go):
    page = visit((site / "index.html").as_uri()).page
    page.locator("tr[data-name='coin/sae'] a.cell").first.click()
    page.locator("#list .item").first.click()
    scores = [float(text.removeprefix("F1 ")) for text in page.locator("#list .f1").all_inner_texts() if "F1" in text]
    assert scores == sorted(scores)
    assert page.locator("#list .item[aria-current=true] .f1").inner_text() == f"F1 {scores[0]:.2f}"
    page.locator("#worst").click()
    page.locator(".worst summary").click()
    assert "wrong" in page.locator(".worst .verdict").inner_text()
    reply = json.loads(page.locator(".worst pre").inner_text())
    place, n = map(int, re.findall(r"answer (\d+) of (\d+)", page.locator(".worst summary").inner_text())[0])
    answers = reply["answers"] if isinstance(reply, dict) else reply
    assert len(answers) == n
    assert ("said fires" if answers[place - 1] else "said silent") in page.locator(".worst .verdict").inner_text()


@pytest.mark.browser
def test_what_was_not_asked_alike_is_grey_with_the_reason_and_never_ranked(site: Path, visit: Go):
    page = visit((site / "index.html").as_uri()).page
    grey = page.locator("td.apart")
    assert grey.count() == 4
    for cell in grey.all():
        assert "scorer.temperature 0.5, not 0.0" in cell.get_attribute("title")
    column = page.locator("th[data-column]", has=page.locator("select")).first.get_attribute("data-column")
    page.locator(f"button[data-sort='{column}']").click()
    values = page.eval_on_selector_all(
        "#matrix tbody tr",
        f"rows => rows.map(r => r.querySelector('td[data-column=\"{column}\"]')).map(c => c.classList.contains('apart')"
        " || !c.dataset.value ? null : Number(c.dataset.value))",
    )
    known = [value for value in values if value is not None]
    assert values == [*sorted(known, reverse=True), *[None] * (N_ROWS - len(known))]
    page.locator(f"th[data-column='{column}'] select").select_option("1")
    assert "scorer.temperature 0.0, not 0.5" in page.locator(f"td.apart[data-column='{column}']").first.inner_text()


@pytest.mark.browser
def test_the_board_filters_and_sorts(site: Path, visit: Go):
    page = visit((site / "index.html").as_uri()).page
    shown = page.locator("#matrix tbody tr:visible")
    assert shown.count() == N_ROWS
    assert page.locator("#matrix th[data-column]:visible").count() == 4
    page.locator("[data-filter=judge]").select_option("coin")
    assert page.locator("#matrix th[data-column]:visible").count() == 2
    page.locator("[data-filter=site]").select_option(index=1)
    assert shown.count() == N_ROWS
    page.locator("[data-sort=name]").click()
    names = shown.evaluate_all("rows => rows.map(row => row.dataset.name)")
    assert len(set(names)) == N_ROWS
    assert page.locator("th[aria-sort]").count() == 1


@pytest.mark.browser
def test_hostile_names_are_text(site: Path, visit: Go):
    page = visit((site / "index.html").as_uri()).page
    assert "<b onmouseover" in page.locator("h1").inner_text()
    assert page.locator("b[onmouseover]").count() == 0
    page.locator("tbody tr", has_text="<b onmouseover").first.locator("a.cell").first.click()
    page.locator("#list .item").first.wait_for()
    assert "<b onmouseover" in page.locator("#dictionary option:checked").inner_text()
    assert page.locator("b[onmouseover]").count() == 0
    assert "\u202e" not in page.locator("body").inner_text()


@pytest.mark.browser
def test_a_feature_is_flagged_noted_found_again_and_exported(site: Path, visit: Go):
    page = visit(f"{(site / 'features.html').as_uri()}#first%2Fsae").page
    page.locator("#list .item").nth(1).click()
    page.locator("#card h3").wait_for()
    name = page.locator("#card h3").inner_text()
    page.keyboard.press("f")
    assert page.locator("#flag").get_attribute("aria-pressed") == "true"
    page.locator("#note").fill("look <i>again</i>")
    page.locator("#note").press("Enter")
    page.reload()
    page.locator("#card h3").wait_for()
    page.locator("#filter").select_option("star")
    assert page.locator("#list .item b").all_inner_texts() == [f"{name} ★ ✎"]
    assert page.locator("#filter option:checked").inner_text() == "flagged (1)"
    with page.expect_download() as download:
        page.locator("#save-marks").click()
    saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert list(saved.values()) == [{"star": True, "note": "look <i>again</i>"}]


@pytest.mark.browser
def test_search_reaches_the_windows_and_sorting_any_metric(site: Path, visit: Go):
    page = visit(f"{(site / 'features.html').as_uri()}#first%2Fsae").page
    page.locator("#list .item").first.wait_for()
    n = page.locator("#list .item").count()
    text = page.locator("#card .interval .tokens, #card .tokens").first.inner_text()
    word = max(re.findall(r"\w+", text), key=len)
    page.locator("#search").fill(f"{word} zzzz")
    page.locator("#count", has_text=f"0 of {n} features").wait_for()
    page.locator("#search").fill(word)
    page.locator("#deep").click()
    page.locator("#list .item").first.wait_for()
    page.locator("#search").fill("")
    page.locator("#sort").select_option("balanced_accuracy")
    page.locator("#list .f1", has_text="balanced accuracy").first.wait_for()
    texts = [t for t in page.locator("#list .f1").all_inner_texts() if t != "not scored"]
    values = [float(t.rpartition(" ")[2]) for t in texts]
    assert values == sorted(values, reverse=True)


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_phone_and_desk_in_both_schemes_and_tells_of_tokens_on_touch(
    site: Path, visit: Go, width: int, scheme: str
):
    page = visit((site / "index.html").as_uri(), width=width, color_scheme=scheme, has_touch=True).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(f"{(site / 'features.html').as_uri()}#first%2Fsae")
    page.locator("#list .item").nth(1).click()
    page.locator("#card .tokens span").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#card .tokens span").nth(2).tap()
    assert re.fullmatch(r"activation [\d.e-]+ · token \d+ · position \d+", page.locator("#tip").inner_text())


@pytest.mark.browser
def test_a_copy_of_the_folder_works_wherever_it_lies(site: Path, tmp_path: Path, visit: Go):
    archive = shutil.make_archive(str(tmp_path / "site"), "zip", site)
    shutil.unpack_archive(archive, tmp_path / "elsewhere & more")
    page = visit((tmp_path / "elsewhere & more" / "index.html").as_uri()).page
    page.locator("a.cell").first.click()
    page.locator("#card h3").wait_for()


def test_a_run_without_its_evidence_is_one_line(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = Path(shutil.copytree(world / "runs" / "first", tmp_path / "first"))
    (run / "evidence" / "sae.parquet").unlink()
    assert _run(["site", str(run), "--out", str(tmp_path / "site")]) == 2
    assert "sae.parquet does not exist" in capsys.readouterr().err


@pytest.mark.browser
def test_a_page_that_could_not_be_loaded_is_tried_again(site: Path, tmp_path: Path, chromium: Any):
    copy = Path(shutil.copytree(site, tmp_path / "site"))
    number = next(
        i for i, s in enumerate(data_of(site / "data/catalog.js")["shelves"]) if s["label"] == "first/neurons"
    )
    page_file = copy / f"data/{number}/0.js"
    away = page_file.rename(page_file.with_suffix(".away"))
    page = chromium.new_page()
    page.goto(f"{(copy / 'features.html').as_uri()}#first%2Fneurons")
    page.locator("#card", has_text=f"data/{number}/0.js is missing").wait_for()
    away.rename(page_file)
    page.locator("#list .item").first.click()
    page.locator("#card h3").wait_for()
    columns = (copy / f"data/{number + 1}/columns.js").rename(tmp_path / "columns.js")
    page.locator("#dictionary").select_option(str(number + 1))
    page.locator("#count", has_text="columns.js is missing").wait_for()
    columns.rename(copy / f"data/{number + 1}/columns.js")
    page.locator("#way").select_option("up")
    page.locator("#list .item").first.click()
    page.locator("#card h3").wait_for()


@pytest.mark.browser
def test_a_feature_leads_to_itself_in_other_runs_and_to_its_family(site: Path, tmp_path: Path, visit: Go):
    copy = Path(shutil.copytree(site, tmp_path / "site"))
    shelves = {s["label"]: i for i, s in enumerate(data_of(site / "data/catalog.js")["shelves"])}
    number = data_of(site / f"data/{shelves['coin/sae']}/columns.js")["feature"][0]
    page_file = copy / f"data/{shelves['coin/sae']}/0.js"
    text = page_file.read_text(encoding="utf-8")
    page_file.write_text(
        text.replace('"relatives":[]', f'"relatives":[["neurons",{number},0.75]]', 1), encoding="utf-8"
    )
    page = visit(f"{(copy / 'features.html').as_uri()}#first%2Fsae%2F{number}").page
    elsewhere = page.locator(".panel", has=page.get_by_role("heading", name="The same feature in other runs"))
    elsewhere.wait_for()
    assert elsewhere.locator("a").count() == 2
    elsewhere.get_by_role("link", name=f"coin/sae {number}").click()
    page.locator("#card .card-head", has_text="coin ·").wait_for()
    assert page.locator("#card h3").inner_text() == f"sae {number}"
    family = page.locator(".panel", has=page.get_by_role("heading", name="Fire where it does, in other dictionaries"))
    assert "75% of the places" in family.inner_text()
    family.get_by_role("link", name=f"neurons {number}").click()
    page.locator("#card h3", has_text=f"neurons {number}").wait_for()
    assert page.locator("#dictionary option:checked").inner_text().startswith("coin/neurons")
