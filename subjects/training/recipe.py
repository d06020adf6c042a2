"""The recipe of the builtin subject: sizes, training length and seed, read from TOML."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autointerp.errors import ConfigError, UnreadableFile
from autointerp.small_files import read_toml

__all__ = ["RECIPE", "SubjectRecipe", "load_subject_recipe"]

# that of the committed weights
RECIPE = Path(__file__).with_name("recipe.toml")


class SubjectRecipe(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0)
    vocab_size: int = Field(default=4096, ge=300, le=65536)
    n_positions: int = Field(default=256, ge=8, description="tokens per context, BOS included")
    d_model: int = Field(default=128, ge=4)
    n_heads: int = Field(default=4, ge=1)
    d_mlp: int = Field(default=512, ge=4)
    n_train_tokens: int = Field(default=20_000_000, ge=1, description="tokens seen, repetitions counted")
    n_contexts_per_step: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=4e-3, gt=0, description="peak; linear warm-up, then cosine to zero")
    warmup_frac: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.1, ge=0, description="on matrices only")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="on embeddings and residual branches, training only")
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.98, ge=0, lt=1)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    n_steps_per_checkpoint: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> SubjectRecipe:
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model = {self.d_model} is not a multiple of n_heads = {self.n_heads}")
        return self


def load_subject_recipe(path: Path) -> SubjectRecipe:
    """Raises ConfigError that names the file, the key and its value."""
    try:
        values = read_toml(path)
    except UnreadableFile as error:
        raise ConfigError(f"{error}: give the path of a recipe, a TOML file") from None
    try:
        return SubjectRecipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        known = ", ".join(SubjectRecipe.model_fields)
        raise ConfigError(
            f"{path}: {key} = {first['input']!r}: {first['msg']} (known keys: {known})"
            if first["type"] == "extra_forbidden"
            else f"{path}: {key} = {first['input']!r}: {first['msg']}"
        ) from error
