"""Finding plug-ins: by name, without importing their neighbours, with a clear line for every mistake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autointerp.builtin_plugins import BUILTIN
from autointerp.errors import ConfigError, PluginError
from autointerp.plugins import list_judges, list_plugins, load_plugin, open_judge, open_plugin, split_spec
from autointerp.score.scorer import Scorer

_ROOT = Path(__file__).parents[1]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a distribution `dist` with one judge `name` whose module has the text `source`."""

    def install(dist: str, name: str, source: str) -> None:
        module = dist.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[autointerp.judges]\n{name} = {module}:make\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    return install


_ECHO = """
from autointerp.judges.judge import Capabilities, Reply
class Echo:
    capabilities = Capabilities(endpoint="echo", model="m")
    def __init__(self, model, options): self.model, self.options = model, options
    async def ask(self, request): return Reply("[1]", "m")
    async def aclose(self): pass
make = Echo
"""


def test_a_strangers_judge_is_found_opened_and_listed(install: Callable[..., None]) -> None:
    install("echo-judge", "echo", _ECHO)
    judge = open_judge("echo:some:model", {"a": 1})
    assert (judge.model, judge.options) == ("some:model", {"a": 1})  # type: ignore[attr-defined]
    listing = {entry.name: entry for entry in list_judges()}["echo"]
    assert (listing.distribution, listing.is_builtin) == ("echo-judge", False)


def test_a_broken_plugin_fails_when_named_and_not_before(install: Callable[..., None]) -> None:
    install("broken-judge", "broken", "raise ZeroDivisionError('no')")
    assert "broken" in {entry.name for entry in list_judges()}
    assert open_judge("coin").capabilities.model == "coin"
    with pytest.raises(PluginError, match=r"'broken' of broken-judge .*ZeroDivisionError: no"):
        open_judge("broken")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Odd(Exception): pass\nraise Odd('very\\nodd')", "Odd: very odd"),
        ("import sys\nsys.exit('bye')", "SystemExit: bye"),
        ("make = 3", "cannot be called"),
        ("make = undefined", "NameError"),
        ("def make(", "SyntaxError"),
    ],
)
def test_whatever_a_strangers_module_does_is_one_line(install: Callable[..., None], source: str, said: str) -> None:
    dist = f"strange-{len(source)}"  # each its own module: Python keeps what it has imported
    install(dist, "strange", source)
    with pytest.raises(PluginError) as caught:
        open_judge("strange")
    assert f"'strange' of {dist}" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_strangers_factory_that_fails_is_named_and_ours_keeps_its_traceback(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("failing-judge", "failing", "def make(model, options): raise KeyError('temperature')")
    with pytest.raises(PluginError, match=r"'failing' of failing-judge cannot be made .*KeyError: 'temperature'"):
        open_judge("failing")
    monkeypatch.setattr("autointerp.judges.offline.scripted.open_coin", lambda model, options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_judge("coin")


def test_a_wrong_option_of_a_stranger_is_a_config_error(install: Callable[..., None]) -> None:
    source = "from autointerp.errors import ConfigError\ndef make(model, options): raise ConfigError('judges.choosy.x')"
    install("choosy-judge", "choosy", source)
    with pytest.raises(ConfigError, match=r"^judges\.choosy\.x$"):
        open_judge("choosy")


def test_what_is_no_scorer_is_named(install: Callable[..., None], tmp_path: Path) -> None:
    install("half-scorer", "unused", "class make:\n    name = 'half'\n    def sample(self): ...")
    points = tmp_path / "half_scorer-1.0.dist-info" / "entry_points.txt"
    points.write_text("[autointerp.scorers]\nhalf = half_scorer:make\n")
    with pytest.raises(PluginError, match=r"scorer 'half' of half-scorer: .* from autointerp\.score\.scorer\.Scorer"):
        open_plugin("autointerp.scorers", "half", kind=Scorer)


def test_a_factory_that_makes_no_judge_is_named(install: Callable[..., None]) -> None:
    install("odd-judge", "odd", "make = lambda model, options: 3")
    with pytest.raises(PluginError, match=r"'odd' of odd-judge: its factory made a int, .* lacks aclose, ask"):
        open_judge("odd")


def test_a_missing_package_is_named(install: Callable[..., None]) -> None:
    install("needy-judge", "needy", "def make(model, options):\n    import no_such_package")
    with pytest.raises(PluginError, match="no_such_package"):
        open_judge("needy")


def test_two_distributions_of_one_name_are_told_apart(install: Callable[..., None]) -> None:
    install("first-judge", "twice", _ECHO)
    install("second-judge", "twice", _ECHO)
    with pytest.raises(PluginError, match=r"brought by both (first|second)-judge and (first|second)-judge"):
        open_judge("twice")
    (listing,) = [entry for entry in list_judges() if entry.name == "twice"]
    assert {listing.distribution, *listing.rivals} == {"first-judge", "second-judge"}
    assert open_judge("coin").capabilities.model == "coin"  # a quarrel over one name is nobody else's business


def test_a_stranger_with_a_builtin_name_is_told_to_go(install: Callable[..., None]) -> None:
    install("rival-judge", "coin", _ECHO)
    with pytest.raises(
        PluginError, match=r"'coin' is brought by both autointerp-bench and rival-judge; uninstall rival-judge"
    ):
        open_judge("coin")


def test_an_unknown_name_lists_what_there_is_and_the_near_miss() -> None:
    with pytest.raises(
        PluginError, match=r"unknown judge 'opnai'; did you mean 'openai'\? there are: bag_of_words, "
    ) as caught:
        open_judge("opnai:gpt")
    assert "pattern" in str(caught.value)
    with pytest.raises(PluginError, match="unknown scorer 'x'"):
        load_plugin("autointerp.scorers", "x")


def test_names_and_models_are_split_at_the_first_colon() -> None:
    assert split_spec("openai:qwen:7b") == ("openai", "qwen:7b")
    assert split_spec("pattern") == ("pattern", None)


@pytest.mark.parametrize("name", ["coin", "mumbler", "literal"])
def test_judges_without_a_key_open_by_name(name: str) -> None:
    assert open_judge(name).capabilities.is_local


def test_judges_with_a_key_say_where_it_comes_from() -> None:
    with pytest.raises(ConfigError, match=r"judges\.oracle\.evidence"):
        open_judge("oracle")
    with pytest.raises(ConfigError, match="sensitivity"):
        open_judge("noisy", {"evidence": "x", "sensitivity": 1.5})


def test_every_builtin_plugin_loads() -> None:
    for group in BUILTIN:
        for entry in list_plugins(group):
            if entry.is_builtin:
                assert callable(load_plugin(group, entry.name))


def test_nothing_heavy_is_imported() -> None:
    """Neither torch nor the SDK nor a HTTP client comes with the modules; the client comes with the first endpoint."""
    script = """
import importlib, pkgutil, sys
import autointerp.judges, autointerp.runs
for package in (autointerp.judges, autointerp.runs):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
from autointerp.plugins import list_judges, open_judge
list_judges(), open_judge("coin")
print(sorted({"torch", "openai", "transformers", "pandas", "aiohttp"} & set(sys.modules)))
open_judge("openai:m", {"base_url": "http://localhost:1/v1"})
print(sorted({"torch", "openai", "transformers", "aiohttp"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=_ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == ["[]", "['aiohttp']"], run.stderr
