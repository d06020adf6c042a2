"""The run in which a person rates another run's features."""

from __future__ import annotations

import re
import tomllib

from autointerp.config.loading import parse_config, render_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import load_run_config
from autointerp.score.listing import ListScorer
from autointerp.score.opening import open_scorer
from autointerp.score.presets import apply_preset
from autointerp.score.rubric import RubricScorer

__all__ = ["rating_config"]

_NAME = re.compile(r"[\w.-]{1,40}")


def rating_config(run: RunLayout, rater: str, *, name: str, port: int, is_rubric: bool = False) -> Config:
    """The run's config with judge `human:RATER` and, of its scorers, those that a person can be asked; with `is_rubric`
    the rubric alone.

    Raises ConfigError for an unusable name, and where no scorer asks so.
    """
    if not _NAME.fullmatch(rater):
        raise ConfigError(f"--rate {rater}: a name is up to 40 letters, digits, dots, - and _")
    config = apply_preset(load_run_config(run))
    tree = tomllib.loads(render_config(config))
    rated = [] if is_rubric else zip(tree["score"]["scorers"], config.score.scorers, strict=True)
    scorers = [{"name": "rubric"}] if is_rubric else []
    scorers += [
        {key: value for key, value in table.items() if key != "judge"}
        for table, entry in rated
        if isinstance(open_scorer(entry, config.score), ListScorer | RubricScorer)
    ]
    if not scorers:
        raise ConfigError(
            f"--rate: no scorer of {run.root} asks yes or no about texts, as detection and marked do; --rubric asks "
            "for points instead"
        )
    tree |= {"name": name, "judges": tree.get("judges", {}) | {"human": {"port": port}}}
    tree["score"] |= {"judge": f"human:{rater}", "scorers": scorers}
    return parse_config(tree)
