"""Judge `bag_of_words`: similarity by TF-IDF of character n-grams (3 to 5), a baseline without a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autointerp.errors import ConfigError
from autointerp.judges.judge import Capabilities, Reply, Request
from autointerp.judges.options import Options, read_options
from autointerp.judges.similarity import compared_texts, similarity_reply, similarity_task

__all__ = ["BagOfWordsJudge", "open_judge"]

ALGORITHM = 1
"""Part of every cache key; raise it when answers change."""


class BagOfWordsJudge:
    capabilities = Capabilities(
        endpoint="builtin",
        model=f"bag_of_words-{ALGORITHM}",
        is_local=True,
        uses_task=True,
        is_deterministic=True,
        has_similarities=True,
    )

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

        self._count = HashingVectorizer(
            analyzer="char_wb",
            ngram_range=(3, 5),
            n_features=1 << 18,
            alternate_sign=False,
            norm=None,  # type: ignore[arg-type]
        )
        self._weigh = TfidfTransformer

    async def ask(self, request: Request) -> Reply:
        """Raises JudgeStopped for any task but a SimilarityTask."""
        task = similarity_task(request, judge="bag_of_words")
        counts = self._count.transform(compared_texts(task, query_prefix="", passage_prefix=""))
        weighted: Any = self._weigh(sublinear_tf=True).fit_transform(counts)
        # only the entries that some text has: what all texts lack changes no cosine
        used = weighted[:, weighted.getnnz(axis=0) > 0]
        return similarity_reply(used.toarray(), model=self.capabilities.model)

    async def aclose(self) -> None:
        """Nothing to release."""


def open_judge(model: str | None, options: Mapping[str, Any]) -> BagOfWordsJudge:
    """Raises ConfigError for a model or an option: it has none."""
    if model:
        raise ConfigError(f"judge 'bag_of_words:{model}': the judge 'bag_of_words' has no models; write 'bag_of_words'")
    read_options("bag_of_words", Options, options)
    return BagOfWordsJudge()
