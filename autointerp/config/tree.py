"""The whole config as TOML spells it, one section per stage; defaults are offline, free and small."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from autointerp.config.asking import ControlsConfig, ExplainConfig, LimitsConfig, ScoreConfig
from autointerp.config.core_settings import core_section
from autointerp.config.dictionary_entry import DERIVED_KINDS, FIXED_KINDS, DictionaryEntry
from autointerp.config.dictionary_name import seeded_name
from autointerp.config.engine import EngineConfig
from autointerp.config.secrets import find_secret
from autointerp.config.section import Amount, Count, Fraction, Positive, Rate, Section
from autointerp.config.sites import Site
from sae_core.config import TrainingConfig

__all__ = ["Config", "CorpusConfig", "HarvestConfig", "SubjectConfig", "TrainConfig"]


class SubjectConfig(Section):
    """The model under study and where it is read."""

    model: str = "builtin"
    """`builtin`; a name that `autointerp subject fetch` knows; a local directory in HuggingFace layout; a .gguf file,
    dequantised to float32 once; or a hub name."""
    weights: Literal[
        "trained", "permuted", "permuted_but_embeddings", "resampled", "resampled_but_embeddings", "initial"
    ] = "trained"
    """All but `trained` are random twins of the model, as controls (see `subject.twins`)."""
    site: Site = "mlp_post"
    """Where dictionaries read by default; `mlp_post` are the neurons (see the README's words)."""
    layer: Count = 0
    """The block, counted from 0."""
    context_tokens: Annotated[int, Field(ge=8, strict=True)] = 128
    """Tokens of a context, BOS included."""
    batch_contexts: Positive = 32
    """Contexts per forward pass."""
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    """Number type of the model's products; weights and the residual stream stay float32. `auto` takes bfloat16 where
    the processor has it and at least 99.5% of a sample's firings stay the same, else float32; the log says which.
    `int8` holds the linear layers in 8 bits (bitsandbytes, CUDA only)."""
    device_map: Literal["auto"] | None = None
    """`auto` spreads the model over all GPUs, as accelerate does; None puts it on `device`."""
    packing: Literal["concatenate", "document"] = "concatenate"
    """`concatenate` fills every context with one document after another; `document` gives each document (or piece of a
    long one) its own context, so no other text precedes it."""
    sinks: Literal["mask", "keep"] = "mask"
    """Attention sinks, tokens with an activation many times that of all others: `mask` leaves them out wherever text is
    counted, trained on, measured or shown; `keep` does not."""
    skip_first: Count = 0
    """Text tokens left out likewise at the start of every context."""

    @model_validator(mode="after")
    def _check_skip(self) -> SubjectConfig:
        if self.skip_first > self.context_tokens - 2:
            raise ValueError(
                f"skip_first = {self.skip_first} leaves no text of contexts of context_tokens = {self.context_tokens}; "
                f"set it to {self.context_tokens - 2} or less"
            )
        return self


class CorpusConfig(Section):
    """The text. A hash of its id gives each document a role (dictionary, explain, score)."""

    path: str = "builtin"
    """`builtin`; a .txt, .json, .jsonl, .csv, .parquet, .gz or .zip file or a directory of those; a folder saved by
    `datasets`; or `hf:NAME` for the hub."""
    text_field: str = "text"
    """The field with the text: a string, a conversation (messages with role and content, rendered by the model's chat
    template if any) or token ids. Without `text`, `messages` or `input_ids` are read."""
    subset: str | None = None
    """The hub data set's configuration name."""
    split: str = "train"
    """The split of a data set from the hub, or saved."""
    max_file_mb: Positive = 2_000
    """Limit in MB for the contents of a .gz or .zip, a .txt, a .json, or one line of a .jsonl or .csv; more is an
    error, before it fills the memory."""
    dictionary_tokens: Positive = 1_000_000
    """Tokens to train dictionaries on; a shorter corpus is read repeatedly."""
    evidence_tokens: Positive = 400_000
    """Tokens to collect evidence from, explain and score roles together, each read at most once."""


class TrainConfig(core_section(TrainingConfig, without=("n_tokens", "seed"), is_filled=True)):
    """Training of dictionaries; all see the same activations, those of all sites from one pass of the subject."""

    seeds: Positive = 1
    """Trainings of every trained dictionary with different seeds: `sae`, `sae.seed2`, ... They share one entry on the
    board, whose interval covers the seeds."""
    batch_tokens: Positive = 2048
    """Activations in one step."""
    buffer_tokens: Positive = 65_536
    """Activations shuffled together."""
    warmup_frac: Fraction = 0.05
    """Share of training over which the learning rate rises."""
    l1_warmup_frac: Fraction = 0.05
    """Share of training over which the L1 weight rises."""
    resample_every_steps: Count = 0
    """Steps between resamplings of dead features (Bricken et al. 2023); 0 means four times in the first half."""
    resample_until_frac: Fraction = 0.55
    """Share of training after which no feature is resampled, so that revived ones settle; 0 switches it off."""
    dead_after_tokens: Positive | None = None
    """Activations of silence that make a feature dead; by default those between two resamplings."""
    published_decoder_norm: bool = False
    """Normalise the decoder over the input axis, as O'Neill et al.'s GPT-2 code does, instead of per feature."""
    checkpoint_every_s: Amount = 300.0
    """Seconds between states from which a killed training goes on; 0 writes one after every step."""
    activations: Literal["stream", "disk", "shared"] = "stream"
    """`disk` stores the activations of each site in files first and shuffles over all of them, lets the harvest's
    second pass read those of its first, and removes them when they are used; `shared` keeps them in the user's cache,
    where runs and seeds of the same subject, corpus, site and tokens read them again."""
    activations_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """With `disk` or `shared`: number type of the files."""
    activations_dir: Path | None = None
    """With `disk` or `shared`: the folder of the files, kept for other runs."""
    quality_tokens: Positive | None = None
    """Held-out activations (role score) on which dictionaries are measured; the loss is measured on a quarter of them.
    None takes a sixteenth of `corpus.dictionary_tokens`, at least 16,384 and at most 65,536."""
    wandb_project: str | None = None
    """The Weights & Biases project that shows the training."""

    @model_validator(mode="after")
    def _check(self) -> TrainConfig:
        TrainingConfig(**self.stated(TrainingConfig))  # what two settings together must be
        return self


class HarvestConfig(Section):
    """Evidence to collect, and for how many features."""

    n_features: Positive | Literal["all"] = 200
    """Live features drawn per dictionary."""
    density: tuple[Fraction, Fraction] | None = None
    """Firing rates, lowest and highest, of the features drawn; None draws at any rate. An ultralow-density cluster
    (a mode of features that fire far more rarely than the others) is told of and left out by it."""
    window_left: Count = 16
    """Tokens of a window before its maximum; see window_right."""
    window_right: Count = 15
    """With `fixed_position`, tokens after the maximum; else a window has window_left + window_right + 1 tokens, with
    the maximum at varying positions."""
    fixed_position: bool = False
    """Put the maximum at the same place in every window."""
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
    n_same_document: Count = 20
    """Silent windows kept per feature, role score, from documents in which it fires."""
    n_drawn: Count | None = None
    """Firing windows of any strength kept per feature and role. None keeps as many as the samplers need."""
    n_neighbour: Count | None = None
    """Silent windows kept per feature, role score, around a firing of a feature similar in direction or firing
    together. None keeps as many as the scorers ask for."""
    n_logits: Positive = 30
    """Top and bottom logit effects kept. Explainers see the first 10; `logit_weights` uses the rest."""
    pinned: Count = 0
    """Prompts on which each feature is pinned high, for the explainer `pinned` and the scorer `intervention`. 0 is off;
    each feature takes some 16 short passes over as many prompts, say 16."""
    pinned_kl: Rate = 0.5
    """Strength of pinning: mean divergence of the next token's distribution, in nats."""
    min_firing: Positive = 20
    """Fewest firings over the evidence; a feature with fewer counts as dead and is not drawn."""

    @model_validator(mode="after")
    def _check_density(self) -> HarvestConfig:
        if self.density is not None and self.density[0] >= self.density[1]:
            raise ValueError(f"density = {list(self.density)}: the lowest rate comes first, and is below the highest")
        return self


class Config(Section):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "run"
    """Name of the run, which lies in results/runs/NAME unless --out says otherwise."""
    seed: Count = 0
    """The seed of every draw of the run."""
    device: str = "auto"
    """`auto` is CUDA if available, else the CPU; or `cpu`, `cuda`, `cuda:1`."""
    subject: SubjectConfig = SubjectConfig()
    corpus: CorpusConfig = CorpusConfig()
    train: TrainConfig = TrainConfig()
    dictionaries: Annotated[tuple[DictionaryEntry, ...], Field(min_length=1)]
    harvest: HarvestConfig = HarvestConfig()
    explain: ExplainConfig = ExplainConfig()
    score: ScoreConfig = ScoreConfig()
    controls: ControlsConfig = ControlsConfig()
    limits: LimitsConfig = LimitsConfig()
    engine: EngineConfig = EngineConfig()
    judges: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Options of each judge by name: base_url, key_env (the NAME of an environment variable), ..."""

    @property
    def every_dictionary(self) -> tuple[DictionaryEntry, ...]:
        """The run's dictionaries, trained ones once per seed. References to a trained entry mean its first seed."""
        return tuple(
            entry.model_copy(update={"name": seeded_name(entry.name, seed)})
            for entry in self.dictionaries
            for seed in range(1, (1 if entry.kind in FIXED_KINDS else self.train.seeds) + 1)
        )

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
        for key, parts in (("explain.explainers", self.explain.explainers), ("score.scorers", self.score.scorers)):
            labels = [part.label or part.name for part in parts]
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ValueError(f"{key}: '{twice[0]}' stands twice; give one of them another label")
        if self.train.seeds > 1 and self.score.sequential is not None:
            raise ValueError(
                f"train.seeds = {self.train.seeds} with score.sequential: looks widen intervals over features, not "
                "over seeds; leave one of them out"
            )
        _refuse_secrets(self)
        return self

    def _check_source(self, entry: DictionaryEntry) -> None:
        if entry.of is None:
            return
        source = next((other for other in self.dictionaries if other.name == entry.of), None)
        if source is None or source.kind in DERIVED_KINDS:
            names = [other.name for other in self.dictionaries if other.kind not in DERIVED_KINDS]
            raise ValueError(
                f"dictionaries.{entry.name}.of = '{entry.of}' names no dictionary with directions of its own; "
                f"use one of {', '.join(names)}"
            )
        if (source.site, source.layer) != (entry.site, entry.layer):
            raise ValueError(f"dictionaries.{entry.name} reads another site than '{entry.of}'; give both the same one")


def _refuse_secrets(config: Config) -> None:
    """Raise ValueError for a secret, as the config is written into the run's files."""
    secret = find_secret(config.judges, "judges") or find_secret(config.model_dump(mode="json"), by_name=False)
    if secret is not None:
        fix = "give its name: key_env = 'NAME'" if secret.startswith("judges.") else "leave it out here"
        raise ValueError(f"{secret} holds a key itself; put the key into an environment variable and {fix}")
