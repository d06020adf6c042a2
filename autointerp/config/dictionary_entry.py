"""One dictionary of the config, an entry of the leaderboard."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from autointerp.config.core_settings import core_section
from autointerp.config.section import Count, Fraction, Positive, Section
from autointerp.config.sites import Site
from autointerp.errors import InputError
from autointerp.pretrained.releases import find_release, named_releases
from sae_core.config import (
    TRAINED_KINDS,
    DictionaryConfig,
    DictionaryKind,
    MlpOutput,
    TrainingConfig,
    kinds_of,
    uses,
)

__all__ = [
    "DERIVED_KINDS",
    "EVIDENCE_KIND",
    "FIXED_KINDS",
    "OF_THE_RUN",
    "READY_KINDS",
    "DictionaryEntry",
    "takes",
    "users_of",
]

READY_KINDS = frozenset({"load", "release", "plugin", "object"})  # kinds made elsewhere
EVIDENCE_KIND = "evidence"  # the kind with evidence only
_CORE_KINDS = frozenset[str](get_args(DictionaryKind))
FIXED_KINDS = (_CORE_KINDS - TRAINED_KINDS) | READY_KINDS | {EVIDENCE_KIND}  # kinds without training
DERIVED_KINDS = frozenset({"inferred", "shuffled"})  # kinds with another entry's directions
_KINDS = (*get_args(DictionaryKind), *sorted(READY_KINDS), EVIDENCE_KIND)
_CORE_KEYS = {each.name for core in (DictionaryConfig, TrainingConfig) for each in fields(core)} - {"kind"}
_DENSE_KINDS = frozenset({"identity", "pca", "ica", "random", "shuffled"}) | READY_KINDS
# Kinds that use a key of the run; all use keys not listed.
_USERS: dict[str, frozenset[str]] = {
    "n_features": _CORE_KINDS - DERIVED_KINDS,
    "of": DERIVED_KINDS,
    "path": frozenset({"load", EVIDENCE_KIND}),
    "plugin": frozenset({"plugin"}),
    "release": frozenset({"release"}),
    "options": frozenset({"plugin", "release"}),
    "force": READY_KINDS,
    "out_site": READY_KINDS,
    "match_density": _DENSE_KINDS,
    "density": _DENSE_KINDS,
    "fires_above_zero": _DENSE_KINDS,
}
# Required keys by kind, and their placeholder in messages.
_NEEDED = {
    "load": ("path", "DIRECTORY"),
    "release": ("release", "NAME"),
    "plugin": ("plugin", "NAME"),
    **dict.fromkeys(DERIVED_KINDS, ("of", "ENTRY")),
}
OF_THE_RUN = ("n_tokens", "batch_tokens", "seed")  # settings common to all dictionaries of a run


class _RunKeys(Section):
    """Keys of a dictionary that sae_core lacks."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Name on the board and in file names."""
    kind: Literal[DictionaryKind, "load", "release", "plugin", "object", "evidence"]
    """Kind of dictionary: see above."""
    site: Site | None = None
    """The site it reads, if not the subject's (neurons beside a residual-stream SAE); that of a release with one."""
    layer: Count | None = None
    """The block it reads, if not the subject's."""
    out_site: Site | None = None
    """For a transcoder: the site it writes, of the same block; `mlp_out` if left out."""
    n_features: Positive | None = None
    """Defaults to 4 x the activation width; the width itself for `identity`, `pca` and `ica`."""
    of: str | None = None
    """The entry whose directions are used."""
    path: Path | None = None
    """Where `load` finds the dictionary; where `evidence` was imported from."""
    release: str | None = None
    """The name of a released dictionary, as `autointerp dictionaries list` shows it."""
    plugin: str | None = None
    """The name of the plug-in, an entry point of `autointerp.dictionaries`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options for the plug-in, or which of a release's dictionaries it is: `{ width = "16k", l0 = "small" }`."""
    force: bool = False
    """Measure it here even if it was made for another model or place."""
    match_density: str | None = None
    """For dense coordinates: the trained dictionary with the feature densities to match; that of the entry `of` if left
    out."""
    density: Fraction | None = None
    """For dense coordinates without `match_density`: the share of tokens each feature fires on."""
    fires_above_zero: bool = False
    """For neurons behind a ReLU: fire above 0 instead of above a fitted quantile."""


_TrainingKeys: Any = core_section(TrainingConfig, without=OF_THE_RUN)
_DictionaryKeys: Any = core_section(DictionaryConfig, without=("kind", "n_features"))


class DictionaryEntry(_TrainingKeys, _DictionaryKeys, _RunKeys):
    """One dictionary: an entry of the leaderboard.

    Trained: `relu`, `topk`, `batchtopk`, `abstopk`, `jumprelu`, `gated`, `prolu`, `matryoshka`, `mlp` and
    `sparse_coding`. Fixed: `identity` is the neurons or the basis of the site; `pca`, `ica` components of a sample;
    `random` random directions; `inferred` another entry's directions with optimised codes; `shuffled` another entry's
    directions, each coordinate shuffled among the features. Ready: `load` reads a directory in any format `autointerp
    dictionaries inspect` knows; `release` is a released one by name, fetched from the HuggingFace hub; `plugin` is made
    by a plug-in, `object` by Python code (see sae_core.adapter); `evidence` comes from `autointerp evidence import`,
    without weights. A key that the kind does not use is refused.
    [train] sets the training of all trained kinds, keys here that of one.
    """

    @property
    def dictionary_settings(self) -> dict[str, Any]:
        """Its fields of DictionaryConfig."""
        return self.stated(DictionaryConfig)

    @property
    def training_settings(self) -> dict[str, Any]:
        """Its fields of TrainingConfig."""
        return self.stated(TrainingConfig)

    @model_validator(mode="before")
    @classmethod
    def _take_sites(cls, tree: Any) -> Any:
        """The sites that its release knows, where none are given."""
        release = named_releases().get(str(tree.get("release"))) if isinstance(tree, dict) else None
        if release is None or tree.get("kind") != "release":
            return tree
        sites = {"site": next(iter(release.files)) if len(release.files) == 1 else None, "out_site": release.writes}
        return {**tree, **{key: site for key, site in sites.items() if site and tree.get(key) is None}}

    @model_validator(mode="after")
    def _check(self) -> DictionaryEntry:
        told = f"dictionary '{self.name}' has kind '{self.kind}'"
        needed, example = _NEEDED.get(self.kind, ("kind", ""))
        if getattr(self, needed) is None:
            raise ValueError(f"{told} but no {needed}; add {needed} = '{example}'")
        if self.release is not None:
            try:
                find_release(self.release)
            except InputError as error:
                raise ValueError(f"dictionaries.{self.name}.{error}") from error
        for key, field in type(self).model_fields.items():
            value = getattr(self, key)
            is_said = value != field.get_default(call_default_factory=True)
            if is_said and not takes(self.kind, key, output=self.stated(DictionaryConfig).get("output")):
                raise ValueError(
                    f"{told}, which does not use {key} = {value!r}; leave it out (it is for {users_of(key)})"
                )
        if self.match_density is not None and self.density is not None:
            raise ValueError(f"dictionary '{self.name}' sets both match_density and density; keep one")
        return self


def takes(kind: str, key: str, *, output: str | None = None) -> bool:
    """Whether a kind uses a key; `output` is that of an `mlp`."""
    if key in _USERS:
        return kind in _USERS[key]
    return key not in _CORE_KEYS or uses(kind, key, output=output)


def users_of(key: str) -> str:
    """The kinds that use a key, in words; "" for all."""
    kinds = _USERS.get(key) or (kinds_of(key) if key in _CORE_KEYS else frozenset[str]())
    words = ["trained kinds"] if kinds >= TRAINED_KINDS else [kind for kind in _KINDS if kind in kinds & TRAINED_KINDS]
    words += [kind for kind in _KINDS if kind in kinds - TRAINED_KINDS]
    if "mlp" not in kinds:
        words += [f"mlp with output {output}" for output in get_args(MlpOutput) if output in kinds]
    return ", ".join(words)
