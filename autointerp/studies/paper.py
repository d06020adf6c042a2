"""The study of a paper: parts that measure its claims on a subject, each kept when it is done.

A recipe (configs/studies) is a run's config and a table [study] of the study's own options; a preset names recipes.
What parts need of dictionaries and evidence comes of ordinary runs below `runs`, so all of it resumes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from autointerp import pipeline
from autointerp.config.loading import explain_error, override, parse_config, read_tree
from autointerp.config.section import Section
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, InputError
from autointerp.pretrained.finding import find_pretrained
from autointerp.progress import Progress
from autointerp.run import Run
from autointerp.runs.layout import write_text
from autointerp.studies.claim import Claim
from synthetic_studies.cells import write_csv
from synthetic_studies.study import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Done",
    "Finding",
    "PaperStudy",
    "Part",
    "Setting",
    "StudyOptions",
    "measure_parts",
    "open_settings",
    "split_at_hand",
]

TABLE = "study"


class StudyOptions(Section):
    """The table [study] of a recipe; a study's own options are fields of a subclass."""

    parts: tuple[str, ...] | None = None
    """The parts measured on this subject; None for all that read one."""
    why: str = ""
    """Why this subject, for the page."""


Options = TypeVar("Options", bound=StudyOptions)


@dataclass(frozen=True)
class Setting(Generic[Options]):
    """What a part measures on: a subject's config, the study's options, and the folder of the study's runs."""

    config: Config
    options: Options
    runs: Path
    progress: Progress

    @property
    def name(self) -> str:
        return self.config.name

    def run(self, suffix: str = "", *, config: Config | None = None, last: str = "report") -> Run:
        """The run of `config` (default: the setting's), brought up to the stage `last`; nothing done is done again.

        `suffix` names runs beside the setting's own, as that of another seed.
        """
        name = "-".join(filter(None, (self.name, suffix)))
        config = (config or self.config).model_copy(update={"name": name})
        return Run(pipeline.run(config, out=self.runs / name, last=last, progress=self.progress).root)


@dataclass(frozen=True)
class Finding:
    """What a part found. `tables`: rows by name, a CSV each; `figures` likewise, a PNG each; `notes`: paragraphs of
    Markdown.
    """

    claims: Sequence[Claim]
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Part(Generic[Options]):
    """One question of a study; `measure` draws in the studies' style. `reads_subject` is false for what is asked of
    synthetic data alone.
    """

    name: str
    title: str
    measure: Callable[[Setting[Options]], Finding]
    reads_subject: bool = True


@dataclass(frozen=True)
class PaperStudy(Generic[Options]):
    """A paper's parts in the page's order. `presets`: names of recipes in configs/studies."""

    name: str
    title: str
    about: str
    options: type[Options]
    parts: tuple[Part[Options], ...]
    presets: Mapping[str, tuple[str, ...]]

    def parts_on(self, setting: Setting[Options]) -> list[Part[Options]]:
        """Those that are measured there."""
        chosen = setting.options.parts
        return [part for part in self.parts if (part.reads_subject if chosen is None else part.name in chosen)]


@dataclass(frozen=True)
class Done:
    """A part as it is kept: `key` is the hash of all that it was measured with."""

    setting: str
    part: str
    title: str
    key: str
    cpu_s: float
    claims: tuple[Claim, ...]
    tables: tuple[str, ...]
    figures: tuple[str, ...]
    notes: tuple[str, ...]


def open_settings(
    study: PaperStudy[Options],
    *,
    preset: str,
    recipe: str | None,
    overrides: Sequence[str],
    folder: Path,
    progress: Progress,
) -> list[Setting[Options]]:
    """The settings of a preset, or of `recipe` (a file, or a shipped one's name).

    Overrides of `study.` reach every recipe; with others only the first is taken, as they say which subject, text and
    sizes. Raises ConfigError, naming the key.
    """
    if preset not in study.presets:
        raise ConfigError(f"--preset {preset}: no such preset of {study.name}; use one of {', '.join(study.presets)}")
    names = [f"studies/{name}" for name in study.presets[preset]] if recipe is None else [recipe]
    settings = []
    is_narrowed = any(not each.startswith(f"{TABLE}.") for each in overrides)
    for name in names[:1] if is_narrowed else names:
        tree = override(read_tree(name), overrides)
        own = tree.pop(TABLE, {})
        try:
            options = study.options.model_validate(own)
        except ValidationError as error:
            raise ConfigError(explain_error(error, study.options, place=TABLE)) from None
        known = [part.name for part in study.parts]
        unknown = [part for part in options.parts or () if part not in known]
        if unknown:
            raise ConfigError(f"study.parts: {study.name} has no part '{unknown[0]}'; it has {', '.join(known)}")
        settings.append(Setting(parse_config(tree), options, folder / "runs", progress))
    return settings


def split_at_hand(settings: Sequence[Setting[Options]]) -> tuple[list[Setting[Options]], list[str]]:
    """Those whose subject is on this machine, and of the others a line each that says how to fetch it.

    Raises ConfigError where none is left.
    """
    kept, missing = [], []
    for setting in settings:
        model = setting.config.subject.model
        try:
            find_pretrained(model)
            kept.append(setting)
        except InputError as error:
            missing.append(f"{setting.name}, whose subject is {model}: {error}")
    if missing and not kept:
        raise ConfigError("; ".join(missing))
    return kept, missing


def measure_parts(
    study: PaperStudy[Options], settings: Sequence[Setting[Options]], *, folder: Path, is_fresh: bool = False
) -> Iterator[Done]:
    """Each part on each setting; one whose files are there, of the same settings, is not measured again."""
    from synthetic_studies.figure_style import style

    if is_fresh:
        for each in (folder / "runs", folder / "parts"):
            shutil.rmtree(each, ignore_errors=True)
    for setting in settings:
        for part in study.parts_on(setting):
            kept = _kept(part, setting, folder)
            if kept is not None:
                setting.progress.say(f"{setting.name}, {part.name}: done before")
                yield kept
                continue
            setting.progress.say(f"{setting.name}, {part.name}: begins")
            start = time.process_time()
            with style():
                yield _keep(part.measure(setting), part, setting, folder, start=start)


def _keep(found: Finding, part: Part, setting: Setting, folder: Path, *, start: float) -> Done:
    """Write the part's tables and figures, and then the record that says it is done."""
    from synthetic_studies.figure_style import save_figure

    folder.mkdir(parents=True, exist_ok=True)
    tables, figures = ([f"{setting.name}-{name}" for name in each] for each in (found.tables, found.figures))
    for name, rows in zip(tables, found.tables.values(), strict=True):
        write_csv(folder / f"{name}.csv", rows)
    for name, figure in zip(figures, found.figures.values(), strict=True):
        save_figure(figure, folder / f"{name}.png")
    done = Done(
        setting=setting.name,
        part=part.name,
        title=part.title,
        key=_key(part, setting),
        cpu_s=round(time.process_time() - start, 1),
        claims=tuple(found.claims),
        tables=tuple(tables),
        figures=tuple(figures),
        notes=tuple(found.notes),
    )
    write_text(_record(part, setting, folder), json.dumps(asdict(done), indent=1) + "\n")
    return done


def _kept(part: Part, setting: Setting, folder: Path) -> Done | None:
    path = _record(part, setting, folder)
    if not path.is_file():
        return None
    try:
        done = TypeAdapter(Done).validate_json(path.read_bytes())
    except ValidationError:
        return None  # damaged, or of another version: measured anew
    files = [*(f"{name}.csv" for name in done.tables), *(f"{name}.png" for name in done.figures)]
    return done if done.key == _key(part, setting) and all((folder / file).is_file() for file in files) else None


def _record(part: Part, setting: Setting, folder: Path) -> Path:
    return folder / "parts" / f"{setting.name}-{part.name}.json"


def _key(part: Part, setting: Setting) -> str:
    options = setting.options.model_dump(mode="json", exclude={"parts", "why"})
    facts = [part.name, setting.config.model_dump(mode="json"), options]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
