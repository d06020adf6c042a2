"""One dictionary as the config spells it: an entry of the leaderboard. Knows nothing of the other sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from autointerp.config.section import Amount, Count, Fraction, Positive, Rate, Section

__all__ = ["DERIVED_KINDS", "EVIDENCE_KIND", "FIXED_KINDS", "READY_KINDS", "DictionaryEntry", "Site"]

Site = Literal["resid_pre", "resid_mid", "resid_post", "mlp_in", "mlp_post", "mlp_out", "attn_z", "attn_out"]
DictionaryKind = Literal[
    "relu",
    "topk",
    "batchtopk",
    "abstopk",
    "jumprelu",
    "gated",
    "prolu",
    "matryoshka",
    "mlp",
    "sparse_coding",
    "inferred",
    "identity",
    "pca",
    "ica",
    "random",
    "shuffled",
    "load",
    "plugin",
    "object",
    "evidence",
]
InferenceMethod = Literal["gradient_pursuit", "omp", "matching_pursuit", "fista", "ista", "adam", "lasso_lars"]
READY_KINDS = frozenset({"load", "plugin", "object"})
"""Kinds that come from elsewhere as they are."""
EVIDENCE_KIND = "evidence"
"""The kind whose evidence alone is there."""
FIXED_KINDS = frozenset({"inferred", "identity", "pca", "ica", "random", "shuffled"}) | READY_KINDS | {EVIDENCE_KIND}
"""Kinds without weights to train."""
DERIVED_KINDS = frozenset({"inferred", "shuffled"})
"""Kinds made of another entry's directions."""


class DictionaryEntry(Section):
    """One dictionary: an entry of the leaderboard.

    Trained: `relu`, `topk`, `batchtopk`, `abstopk`, `jumprelu`, `gated`, `prolu`, `matryoshka`, `mlp` and
    `sparse_coding`. Fixed: `identity` is the neurons or the basis of the site; `pca`, `ica` the components of a sample;
    `random` random directions; `inferred` another entry's directions with codes found by optimisation; `shuffled`
    another entry's directions, each coordinate's entries shuffled among the features; `load` reads one from a
    directory, in any format `autointerp dictionaries inspect` knows; `plugin` takes what a plug-in makes, `object` an
    object handed over in Python (see sae_core.adapter for what it must have); `evidence` is what `autointerp evidence
    import` brought in, without weights. What is left out of a kind's own settings takes sae_core's default (see
    docs/sae_core.md).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """What the entry is called on the board and in file names."""
    kind: DictionaryKind
    """What it is: see above."""
    site: Site | None = None
    """Read another site than the subject's default (neurons beside a residual-stream SAE)."""
    layer: Count | None = None
    """The block it reads, where it is another than the subject's."""
    n_features: Positive | None = None
    """Defaults to 4 x the activation width; the width itself for `identity`, `pca` and `ica`."""
    k: Positive = 32
    """Active features per activation of the topk kinds (batchtopk, matryoshka: on average) and of pursuits."""
    k_start: Positive | None = None
    """k at the start of training, from which it falls to `k`."""
    k_warmup_frac: Fraction | None = None
    """Share of training over which k falls."""
    l1_weight: Amount | None = None
    """Weight of the mean sum of codes, relative to the mean activation norm with `train.normalise_inputs`; 0.2 where
    left out. inferred by fista, ista, adam or lasso_lars: see sae_core's InferredDictionary; that of the entry `of`
    where left out."""
    l0_target: Rate | None = None
    """Mean number of active features to end at, for relu, gated, prolu, mlp and jumprelu: the penalty is steered."""
    l0_weight: Amount | None = None
    """jumprelu: weight of the L0 penalty."""
    hidden: tuple[Positive, ...] = ()
    """Hidden widths of the MLP encoder; () means one as wide as n_features."""
    output: Literal["relu", "topk", "jumprelu"] | None = None
    """mlp: which pre-activations become codes; relu where left out."""
    prefixes: tuple[Positive, ...] = ()
    """matryoshka: growing prefix sizes that reconstruct by themselves; () means n_features / 16, 8, 4, 2 and 1."""
    of: str | None = None
    """inferred, shuffled: the entry whose directions are used."""
    method: InferenceMethod | None = None
    """inferred: how codes are found; gradient_pursuit where left out."""
    n_inference_steps: Positive | None = None
    """inferred, sparse_coding: steps of the iterative methods."""
    path: Path | None = None
    """Where `load` finds the dictionary; where `evidence` was imported from."""
    plugin: str | None = None
    """The name of the plug-in, an entry point of `autointerp.dictionaries`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """plugin: what the plug-in is told."""
    force: bool = False
    """load, plugin, object: measure it here though it says it was made for another model or another place."""
    match_density: str | None = None
    """For dense coordinates (identity, pca, ica, random, shuffled): the trained dictionary whose feature densities the
    firing rule is matched to; that of the entry `of` where left out."""
    density: Fraction | None = None
    """For dense coordinates without `match_density`: the share of tokens each feature fires on."""
    fires_above_zero: bool = False
    """For `identity` over ReLU neurons: fire above 0 instead of above a fitted quantile."""
    learning_rate: Rate | None = None
    """Overrides train.learning_rate."""

    @model_validator(mode="after")
    def _check(self) -> DictionaryEntry:
        if self.kind == "load" and self.path is None:
            raise ValueError(f"dictionary '{self.name}' has kind 'load' but no path; add path = 'DIRECTORY'")
        if (self.kind == "plugin") != (self.plugin is not None):
            fix = "add plugin = 'NAME'" if self.plugin is None else "only plugin takes `plugin`; leave it out"
            raise ValueError(f"dictionary '{self.name}' has kind '{self.kind}' and plugin = {self.plugin!r}; {fix}")
        for key, kinds in (("options", {"plugin"}), ("force", READY_KINDS)):
            if getattr(self, key) and self.kind not in kinds:
                raise ValueError(
                    f"dictionary '{self.name}' has kind '{self.kind}', to which `{key}` means nothing; leave it out"
                )
        if (self.kind in DERIVED_KINDS) != (self.of is not None):
            fix = "add of = 'ENTRY'" if self.of is None else "only inferred and shuffled take `of`; leave it out"
            raise ValueError(f"dictionary '{self.name}' has kind '{self.kind}' and of = {self.of!r}; {fix}")
        if self.match_density is not None and self.density is not None:
            raise ValueError(f"dictionary '{self.name}' sets both match_density and density; keep one")
        return self
