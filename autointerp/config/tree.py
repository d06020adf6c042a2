"""The one configuration tree, as TOML spells it. An unknown key anywhere is an error.

Each section is the typed configuration of one stage. Defaults are safe: offline, free, small.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "FIXED_KINDS",
    "Config",
    "ControlsConfig",
    "CorpusConfig",
    "DictionaryEntry",
    "ExplainConfig",
    "HarvestConfig",
    "ScoreConfig",
    "ScorerConfig",
    "SubjectConfig",
    "TrainConfig",
]

Site = Literal["resid_pre", "resid_mid", "resid_post", "mlp_post", "mlp_out", "attn_z", "attn_out"]
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
    "load",
]
InferenceMethod = Literal["gradient_pursuit", "omp", "matching_pursuit", "fista", "ista", "adam", "lasso_lars"]
FIXED_KINDS = frozenset({"inferred", "identity", "pca", "ica", "random", "load"})
"""Kinds without weights to train."""
Positive = Annotated[int, Field(gt=0, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Amount = Annotated[float, Field(ge=0.0, strict=True)]
Rate = Annotated[float, Field(gt=0.0, strict=True)]


class Section(BaseModel):
    """A part of the tree: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class SubjectConfig(Section):
    """The model under study and where it is read."""

    model: str = "builtin"
    """`builtin`, a local directory in HuggingFace layout, or a hub name."""
    site: Site = "mlp_post"
    layer: Count = 0
    context_tokens: Annotated[int, Field(ge=8, strict=True)] = 128
    """Length of a context in tokens, BOS included."""
    batch_contexts: Positive = 32
    """Contexts per forward pass."""


class CorpusConfig(Section):
    """The text. Documents are given their role (dictionary, explain, score) by a hash of their id."""

    path: str = "builtin"
    """`builtin`, a .txt, .json, .jsonl, .parquet or .zip file, a directory of those, or `hf:NAME` for the hub."""
    text_field: str = "text"
    """The field that holds the text, in .json, .jsonl, .parquet and hub data sets."""
    subset: str | None = None
    """The hub data set's configuration name."""
    split: str = "train"
    """The hub data set's split."""
    dictionary_tokens: Positive = 1_000_000
    """Tokens to train dictionaries on; documents are read again when the corpus is shorter."""
    evidence_tokens: Positive = 400_000
    """Tokens to collect evidence from, over the explain and score roles together, each read at most once."""


class DictionaryEntry(Section):
    """One dictionary: an entry of the leaderboard.

    Trained: `relu`, `topk`, `batchtopk`, `abstopk`, `jumprelu`, `gated`, `prolu`, `matryoshka`, `mlp` and
    `sparse_coding`. Fixed: `identity` is the neurons or the basis of the site; `pca`, `ica` the components of a sample;
    `random` random directions; `inferred` another entry's directions with codes found by optimisation; `load` reads one
    from a directory, in any format `autointerp dictionaries inspect` knows. What is left out of a kind's own settings
    takes sae_core's default (see docs/sae_core.md).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    kind: DictionaryKind
    site: Site | None = None
    """Read another site than the subject's default (neurons beside a residual-stream SAE)."""
    layer: Count | None = None
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
    """inferred: the entry whose directions are used."""
    method: InferenceMethod | None = None
    """inferred: how codes are found; gradient_pursuit where left out."""
    n_inference_steps: Positive | None = None
    """inferred, sparse_coding: steps of the iterative methods."""
    path: Path | None = None
    """Where `load` finds the dictionary."""
    match_density: str | None = None
    """For dense coordinates (identity, pca, ica, random): the trained dictionary whose feature densities the firing
    rule is matched to."""
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
        if (self.kind == "inferred") != (self.of is not None):
            fix = "add of = 'ENTRY'" if self.of is None else "only kind 'inferred' takes `of`; leave it out"
            raise ValueError(f"dictionary '{self.name}' has kind '{self.kind}' and of = {self.of!r}; {fix}")
        if self.match_density is not None and self.density is not None:
            raise ValueError(f"dictionary '{self.name}' sets both match_density and density; keep one")
        return self


class TrainConfig(Section):
    """How dictionaries are trained; all of them see the same activations in one pass per site."""

    batch_tokens: Positive = 2048
    buffer_tokens: Positive = 65_536
    """Activations shuffled together."""
    learning_rate: Rate = 2e-3
    loss: Literal["mse", "normalised_mse"] = "mse"
    """`normalised_mse` divides by the error of predicting the batch mean (O'Neill et al. 2024)."""
    normalise_inputs: bool = True
    """Work in units of the mean activation norm, so that one L1 weight fits all sites; weights are saved unscaled."""
    warmup_frac: Fraction = 0.05
    decay_frac: Fraction = 0.2
    l1_warmup_frac: Fraction = 0.05
    resample_every_steps: Count = 0
    """Steps between resamplings of dead features (Bricken et al. 2023); 0 means four times in the first half."""
    published_decoder_norm: bool = False
    """Normalise the decoder over the input axis, as O'Neill et al.'s GPT-2 code does, instead of per feature."""
    autocast: Literal["off", "bf16"] = "off"
    """`bf16` takes the matrix products in bfloat16; weights, Adam and losses stay float32."""
    checkpoint_every_s: Amount = 300.0
    """Seconds between two states from which a killed training goes on; 0 writes one after every step."""
    activations: Literal["stream", "disk"] = "stream"
    """`disk` harvests the activations of each site once into files, and trains on those, shuffled over all of them."""
    activations_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """With `disk`: how they are stored."""
    activations_dir: Path | None = None
    """With `disk`: where they are kept for other runs of the same subject, corpus and site; None keeps them in the run
    until its training is done."""
    wandb_project: str | None = None
    """Show the course of training on Weights & Biases, in this project."""


class HarvestConfig(Section):
    """Which evidence is collected about how many features."""

    n_features: Positive | Literal["all"] = 200
    """Live features drawn per dictionary."""
    window_left: Count = 16
    window_right: Count = 15
    """With `fixed_position` a window holds this many tokens left and right of its maximum; else window_left +
    window_right + 1 tokens in all, with the maximum at a position that varies."""
    fixed_position: bool = False
    n_top: Positive = 20
    """Top windows kept per feature and role."""
    n_bins: Positive = 5
    """Bins of the activation range, equal steps between the smallest and the largest firing (Bricken et al. 2023)."""
    n_per_bin: Positive = 8
    """Windows kept per bin and role."""
    n_random: Positive = 40
    """Random silent windows kept per feature and role."""
    n_near_miss: Count = 20
    """Same-token silent windows kept per feature and role."""
    n_logits: Positive = 10
    """Top and bottom logit effects kept."""
    min_firing: Positive = 20
    """Firings over the evidence below which a feature counts as dead and is not drawn."""


class ExplainConfig(Section):
    """Who explains, and from what."""

    judge: str = "pattern"
    """`NAME` or `NAME:MODEL`; options under [judges.NAME]."""
    explainer: str = "windows"
    n_windows: Positive = 10
    sampling: Literal["top", "range"] = "range"
    """`top`: the top windows. `range`: spread over the bins of the activation range, top ones included."""
    max_tokens: Positive = 500
    temperature: Amount = 0.0


class ScorerConfig(Section):
    """One scorer: what is asked about how many windows of each kind."""

    name: str
    n_positive: Positive = 20
    n_negative: Positive = 20
    n_near_miss: Count = 10
    """Same-token silent windows, scored apart from F1."""
    sampling: Literal["top", "range"] = "range"
    windows_per_request: Positive = 10
    negatives: Literal["random", "other_feature"] = "random"
    """`other_feature`: the top windows of one other feature, as O'Neill et al. 2024 do."""


class ScoreConfig(Section):
    """Who predicts from the explanation where the feature fires."""

    judge: str = "pattern"
    scorers: tuple[ScorerConfig, ...] = (ScorerConfig(name="detection"),)
    preset: Literal["oneill2024"] | None = None
    max_tokens: Positive = 300
    temperature: Amount = 0.0
    want_logprobs: bool = False


class ControlsConfig(Section):
    """Controls that tell a score from what is reached without understanding."""

    shuffled: Fraction = 0.25
    """Share of the features scored a second time with the explanation of another feature of like firing rate."""


class LimitsConfig(Section):
    """Ceilings and concurrency."""

    max_concurrent: Positive = 16
    max_attempts: Positive = 6
    """Tries per request before it counts as an error."""
    timeout_s: Rate = 120.0
    max_usd: Amount | None = None
    max_requests: Count | None = None
    cache: Path | None = None
    """Directory of the reply cache that runs share; None is the user's cache directory."""


class Config(Section):
    """The whole of a run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    seed: Count = 0
    device: str = "auto"
    subject: SubjectConfig = SubjectConfig()
    corpus: CorpusConfig = CorpusConfig()
    train: TrainConfig = TrainConfig()
    dictionaries: Annotated[tuple[DictionaryEntry, ...], Field(min_length=1)]
    harvest: HarvestConfig = HarvestConfig()
    explain: ExplainConfig = ExplainConfig()
    score: ScoreConfig = ScoreConfig()
    controls: ControlsConfig = ControlsConfig()
    limits: LimitsConfig = LimitsConfig()
    judges: dict[str, dict[str, Any]] = {}
    """Options of each judge by name: base_url, key_env (the NAME of an environment variable), ..."""

    @model_validator(mode="after")
    def _check(self) -> Config:
        names = [entry.name for entry in self.dictionaries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"dictionaries: the name '{twice[0]}' is used twice; rename one")
        for entry in self.dictionaries:
            if entry.match_density is not None and entry.match_density not in names:
                raise ValueError(
                    f"dictionaries.{entry.name}.match_density = '{entry.match_density}' names no dictionary of this "
                    f"config; use one of {', '.join(names)}"
                )
            self._check_source(entry)
        _refuse_secrets(self.judges)
        return self

    def _check_source(self, entry: DictionaryEntry) -> None:
        """An inferred dictionary takes the directions of another entry of the same site."""
        if entry.of is None:
            return
        source = next((other for other in self.dictionaries if other.name == entry.of), None)
        if source is None or source.kind == "inferred":
            names = [other.name for other in self.dictionaries if other.kind != "inferred"]
            raise ValueError(
                f"dictionaries.{entry.name}.of = '{entry.of}' names no dictionary with directions of its own; "
                f"use one of {', '.join(names)}"
            )
        if (source.site, source.layer) != (entry.site, entry.layer):
            raise ValueError(f"dictionaries.{entry.name} reads another site than '{entry.of}'; give both the same one")


SECRET = re.compile(r"^(sk-|xox|ghp_|AIza|hf_)[\w-]{8,}|//[^/@\s]+:[^/@\s]+@")


def _refuse_secrets(judges: dict[str, dict[str, Any]]) -> None:
    """A key in the config would end up in the run's files; only the NAME of an environment variable may stand there."""
    for judge, options in judges.items():
        for key, value in options.items():
            named = key in {"api_key", "key", "token", "secret", "password"}
            if named or (isinstance(value, str) and SECRET.search(value)):
                raise ValueError(
                    f"judges.{judge}.{key} holds a key itself; put the key into an environment variable and give its "
                    f"name: key_env = 'NAME'"
                )
