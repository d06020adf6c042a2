"""The largest products of each row, or those above a floor, on CPUs with fast bfloat16.

A guaranteed error bound (Cauchy-Schwarz) preselects entries, which are computed again in float32: the result is exact.
"""

from __future__ import annotations

import warnings
from functools import cache

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

from sae_core.device import has_fast_bfloat16, is_on_host
from sae_core.positions import true_positions

__all__ = [
    "dot_products",
    "is_screening_worthwhile",
    "screened_above",
    "screened_top_k",
    "sorted_by_feature",
]

ROWS_PER_CHUNK = 512
"""Rows screened at a time, so that their products stay in the cache."""

LARGEST_GROUP = 64
FEWEST_FEATURES = 2048
"""Below this, sorting whole rows costs little."""

FEWEST_ROWS = 64

MOST_CANDIDATES_FRAC = 0.02
"""Largest share of surplus candidates; above it the full product is faster."""

MOST_UNCLEAR_FRAC = 0.1
"""Largest share of rows that are multiplied out because their k-th largest entry is not clearly positive."""

MOST_ABOVE_FRAC = 0.08
"""Largest share above a floor for which screening pays."""

EXTRA_COLUMNS = 16
"""Extra columns: three bfloat16 parts of the bias, the lift, and zeros up to a multiple of 16, which multiplies
faster."""


@cache
def _has_sampled_products() -> bool:
    """Whether torch computes sampled dot products on this CPU correctly."""
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(3, 40, generator=draw), torch.randn(5, 40, generator=draw)
    starts, columns = torch.tensor([0, 2, 2, 4]), torch.tensor([4, 0, 1, 3])
    wanted = (left @ right.T)[[0, 0, 2, 2], [4, 0, 1, 3]]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says once that compressed rows are in beta
            return torch.allclose(_sampled_products(left, right, starts, columns), wanted, rtol=1e-4, atol=1e-5)
    except (RuntimeError, NotImplementedError, TypeError):
        return False


def _sampled_products(left: Tensor, right: Tensor, starts: Tensor, columns: Tensor) -> Tensor:
    size = (left.shape[0], right.shape[0])
    pattern = torch.sparse_csr_tensor(starts, columns, left.new_zeros(columns.shape), size, check_invariants=False)
    return torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values()


@torch.no_grad()
def dot_products(
    left: Float[Tensor, "n_left width"],
    right: Float[Tensor, "n_right width"],
    *,
    starts: Int[Tensor, " n_left_1"],
    columns: Int[Tensor, " nnz"],
) -> Float[Tensor, " nnz"]:
    """`left[i] . right[columns[e]]` for entries e of each row i, from starts[i] to starts[i + 1]."""
    if is_on_host(left) and _has_sampled_products():
        return _sampled_products(left, right, starts, columns)
    rows = torch.arange(left.shape[0], device=left.device).repeat_interleave(starts.diff(), output_size=columns.numel())
    products = [
        (left[some_rows] * right[some_columns]).sum(dim=1)
        for some_rows, some_columns in zip(rows.split(8192), columns.split(8192), strict=True)
    ]
    return torch.cat(products) if products else left.new_zeros(0)


def sorted_by_feature(
    columns: Int[Tensor, " nnz"], *, n_features: int
) -> tuple[Int[Tensor, " nnz"], Int[Tensor, " n_features_1"]]:
    """(order, starts): the stable permutation that sorts entries by feature, and each feature's first entry, then
    nnz."""
    # Narrow integers sort up to three times as fast.
    narrow = torch.int16 if n_features < 2**15 else torch.int32
    ordered, order = torch.sort(columns.to(narrow), stable=True)
    return order, torch.searchsorted(ordered, torch.arange(n_features + 1, dtype=narrow, device=columns.device))


def is_screening_worthwhile(hidden: Tensor, weight: Tensor, *, k: int = 1) -> bool:
    """Whether screening for k entries per row is possible and faster than the full product."""
    return (
        is_on_host(hidden)
        and hidden.dtype == torch.float32
        and weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and weight.shape[0] >= max(FEWEST_FEATURES, 32 * k)
        and hidden.shape[0] >= FEWEST_ROWS
        and has_fast_bfloat16()
        and _has_sampled_products()
    )


@torch.no_grad()
def screened_top_k(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    k: int,
) -> tuple[Float[Tensor, "batch k"], Int[Tensor, "batch k"]] | None:
    """The k largest entries of each row of `hidden @ weight.T + bias` and their columns, unordered.

    None if too many candidates, or too many rows whose k-th largest entry is not clearly positive.
    """
    n_rows, n_features = hidden.shape[0], weight.shape[0]
    screen = _Screen(hidden, weight, bias)
    parts, is_unclear = [], torch.zeros(n_rows, dtype=torch.bool)
    for start, stop in screen.blocks():
        products = screen.products(start, stop)
        lowest = _lower_bound_on_kth(products, k=k)
        # bfloat16 rounds a product by at most 2^-8 of itself, here and at the k-th entry.
        floor = lowest * (1 - 2.0**-7 - 2.0**-14) - 2 * screen.error[start:stop]
        torch.logical_not(floor > 0, out=is_unclear[start:stop])
        if int(is_unclear.sum()) > MOST_UNCLEAR_FRAC * n_rows:
            return None
        floor = floor.masked_fill(is_unclear[start:stop], torch.inf)
        candidates = screen.positions_from(products, floor, start=start, most=k / n_features + MOST_CANDIDATES_FRAC)
        if candidates is None:
            return None
        parts.append(candidates)
    positions = torch.cat(parts)
    rows = positions // n_features
    columns = positions - rows * n_features
    counts = torch.bincount(rows, minlength=n_rows)
    # Rows side by side, padded to the longest, so that one call sorts them.
    width = int(counts.max())
    shift = torch.arange(0, n_rows * width, width) - (counts.cumsum(0) - counts)
    places = torch.arange(columns.numel()) + shift.index_select(0, rows)
    order, exact = _exact_products(hidden, weight, bias, rows=rows, columns=columns)
    padded = exact.new_full((n_rows, width), -torch.inf)
    padded.view(-1).scatter_(0, places.index_select(0, order), exact)
    kept = padded.topk(k, dim=1, sorted=False)
    padded_columns = columns.new_zeros(n_rows, width)
    padded_columns.view(-1).scatter_(0, places, columns)
    values, found = kept.values, padded_columns.gather(1, kept.indices)
    unclear = is_unclear.nonzero()[:, 0]
    if unclear.numel():
        whole = functional.linear(hidden[unclear], weight, bias).topk(k, dim=1, sorted=False)
        values[unclear], found[unclear] = whole.values, whole.indices
    return values, found


@torch.no_grad()
def screened_above(
    hidden: Float[Tensor, "batch width"],
    weight: Float[Tensor, "n_features width"],
    bias: Float[Tensor, " n_features"],
    *,
    floor: Float[Tensor, "#n_features"],
) -> tuple[Float[Tensor, " nnz"], Int[Tensor, " nnz"], Int[Tensor, " nnz"]] | None:
    """The entries of `hidden @ weight.T + bias` above `floor`: values, rows and columns, in row order.

    None if too many candidates, or a value not a number.
    """
    # Rows are lifted by twice their bound, so that what has to be found is clearly positive.
    screen = _Screen(hidden, weight, bias - floor, lift=2.0)
    parts = []
    for start, stop in screen.blocks():
        lowest = screen.lift[start:stop] * (1 - 2.0**-7) - screen.error[start:stop]
        products = screen.products(start, stop)
        candidates = screen.positions_from(products, lowest, start=start, most=MOST_ABOVE_FRAC + MOST_CANDIDATES_FRAC)
        if candidates is None:
            return None
        parts.append(candidates)
    positions = torch.cat(parts)
    rows = positions // weight.shape[0]
    columns = positions - rows * weight.shape[0]
    order, exact = _exact_products(hidden, weight, bias, rows=rows, columns=columns)
    values = torch.empty_like(exact).scatter_(0, order, exact)
    kept = (values > (floor if floor.numel() == 1 else floor.index_select(0, columns))).nonzero()[:, 0]
    return values.index_select(0, kept), rows.index_select(0, kept), columns.index_select(0, kept)


def _lower_bound_on_kth(products: Tensor, *, k: int) -> Tensor:
    n_features = products.shape[1]
    # The k-th largest of groups' maxima is at most the k-th largest entry, and nearly as large.
    group = min(LARGEST_GROUP, n_features // (4 * k))
    n_groups = n_features // group
    maxima = products[:, : group * n_groups].unflatten(1, (group, n_groups)).amax(dim=1)
    return maxima.topk(k, dim=1, sorted=False).values.amin(dim=1).float()


def _exact_products(
    hidden: Tensor, weight: Tensor, bias: Tensor, *, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor]:
    # Taken feature by feature, the products read each row of the weight once.
    order, starts = sorted_by_feature(columns, n_features=weight.shape[0])
    exact = dot_products(weight, hidden, starts=starts, columns=rows.index_select(0, order))
    return order, exact.add_(bias.index_select(0, columns.index_select(0, order)))


class _Screen:
    """Approximate bfloat16 products, with the bound of each row's error."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor, *, lift: float = 0.0) -> None:
        self.n_rows, d_hidden = hidden.shape
        self.n_features = weight.shape[0]
        width = d_hidden + EXTRA_COLUMNS
        self.left = torch.zeros(self.n_rows, width, dtype=torch.bfloat16)
        self.left[:, :d_hidden] = hidden
        self.left[:, d_hidden : d_hidden + 3] = 1.0
        self.right = torch.zeros(self.n_features, width, dtype=torch.bfloat16)
        self.right[:, :d_hidden] = weight
        self.right[:, d_hidden + 3] = 1.0
        rest = bias
        for place in range(d_hidden, d_hidden + 3):
            self.right[:, place] = rest
            rest = rest - self.right[:, place].float()
        largest_row = weight.norm(dim=1).max()
        largest_rounding = max(
            (rows - rounded[:, :d_hidden]).norm(dim=1).max()
            for rows, rounded in zip(weight.split(1024), self.right.split(1024), strict=True)
        )
        norms = hidden.norm(dim=1)
        hidden_rounding = (hidden - self.left[:, :d_hidden]).norm(dim=1)
        summation = width * 2.0**-22 * (norms * largest_row + bias.abs().max())
        self.error = hidden_rounding * largest_row + (norms + hidden_rounding) * largest_rounding + summation
        if lift:
            self.left[:, d_hidden + 3] = lift * self.error + torch.finfo(torch.float32).tiny
        self.lift = self.left[:, d_hidden + 3].float()  # added to a row's products
        self._products = torch.empty(min(ROWS_PER_CHUNK, self.n_rows), self.n_features, dtype=torch.bfloat16)
        self._is_candidate = torch.empty(self._products.shape, dtype=torch.bool)

    def blocks(self) -> list[tuple[int, int]]:
        return [(start, min(start + ROWS_PER_CHUNK, self.n_rows)) for start in range(0, self.n_rows, ROWS_PER_CHUNK)]

    def products(self, start: int, stop: int) -> Tensor:
        return torch.mm(self.left[start:stop], self.right.T, out=self._products[: stop - start])

    def positions_from(self, products: Tensor, floor: Tensor, *, start: int, most: float) -> Tensor | None:
        """Flat positions of the block's products of at least the row's `floor`.

        None if a floor is not positive, or for a larger share than `most`.
        """
        if not bool((floor > 0).all()):
            return None
        # Positive bfloat16 numbers are ordered as the integers of the same bits, which compare faster. The upper half
        # of a float32's bits is that number rounded towards 0.
        bits = (floor.view(torch.int32) >> 16).to(torch.int16)
        # Answers in the operands' own type are vectorised, five times as fast as booleans; the products are done with.
        answers = products.view(torch.int16)
        torch.ge(answers, bits[:, None], out=answers)
        positions = true_positions(self._is_candidate[: len(floor)].copy_(answers).view(-1))
        return None if positions.numel() > most * products.numel() else positions + start * self.n_features
