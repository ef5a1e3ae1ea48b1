"""The nearest neighbours among many features, exact to the rounding of fp32: found by bf16 products, proved by fp32 ones.

A bf16 product of all pairs costs a fraction of an fp32 one and says within a bound how alike two rows are. A few more rows
than asked for are looked at again in fp32; where the worst of those kept is above all that the bound leaves open, no row was
missed. Where it is not, more rows are looked at, and in the end all of them.
"""

# n rows, q queries, D features, k neighbours, m candidates

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genloom.errors import InputError

QUERIES, SPAN = 1024, 32_768  # rows and columns of the products held at once: 64 MiB
GROUP = 16  # neighbouring scores of which the largest stands for all, at first
MORE = (32, 256)  # candidates beyond those asked for, at first and where that proves nothing
MULTIPLE = 32  # of columns, by which bf16 products are quick
NEVER = -3e38  # the score of a row that is none


def approximate(x: Tensor, k: int) -> Tensor:
    """Return the places `[n, k]` of rows most alike to each, most of them right, by faiss's graph: for millions of rows.

    Raises:
        InputError: faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise InputError("approximate neighbours are faiss's: pip install 'genloom[neighbours]'") from None
    index = faiss.IndexHNSWFlat(x.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    found = []
    for part in x.split(SPAN):
        index.add(part.float().numpy())
    for start in range(0, len(x), SPAN):
        part = x[start : start + SPAN].float().numpy()
        places = torch.from_numpy(index.search(part, k + 1)[1])
        itself = places == torch.arange(start, start + len(places))[:, None]
        itself[:, -1] |= ~itself.any(1)  # where a row does not find itself, the last is one too many
        found.append(places[~itself].view(-1, k))
    return torch.cat(found)


def neighbours(x: Tensor, k: int, queries: Tensor | None = None) -> Tensor:
    """Return the places `[q, k]` of the k rows of `x [n, D]` most alike, by inner product, most alike first.

    Of rows of length 1 the inner product is the cosine. Two rows whose products differ by less than fp32 rounds may change
    places. Memory beside `x` is 2 D bytes a row, and some hundred MiB.

    Args:
        queries: `[q, D]`; None for the rows themselves, none of which is then its own neighbour.

    Raises:
        ValueError: there are no k others, or a row holds what is no number.
    """
    if not all(part.isfinite().all() for part in x.split(SPAN)):
        raise ValueError("a row holds what is no number")
    own, asked = queries is None, x if queries is None else queries
    if not 1 <= k <= len(x) - own:
        raise ValueError(f"there are no {k} neighbours among {len(x)} rows")
    coarse = Coarse.of(x)
    parts = []
    for start in range(0, len(asked), QUERIES):
        rows = asked[start : start + QUERIES]
        parts.append(found_by(coarse, x, rows, k, torch.arange(start, start + len(rows)) if own else None))
    return torch.cat(parts)


def found_by(coarse: Coarse, x: Tensor, queries: Tensor, k: int, itself: Tensor | None) -> Tensor:
    """Return the places `[q, k]` of the neighbours of queries, which are the rows `itself [q]` where they are any."""
    rows = queries.float()
    found, left = torch.empty(len(rows), k, dtype=torch.long), torch.arange(len(rows))
    for more in MORE:
        if len(left):
            found[left], sure = proved(coarse, x, rows[left], k, more, itself_of(itself, left))
            left = left[~sure]
    for some in left.split(64):
        found[some] = plainly(x, rows[some], k, itself_of(itself, some))
    return found


def itself_of(itself: Tensor | None, rows: Tensor) -> Tensor | None:
    """Return which row each of some queries is, where they are rows."""
    return None if itself is None else itself[rows]


@dataclass
class Coarse:
    """Rows about their mean in bf16, each with its product with the mean beside it: what ranks rows as the rows do.

    a.y is (a - mean).(y - mean) + (y - mean).mean, and something that is the same for every y: numbers about a mean are
    smaller, and so is the error of rounding them.

    Attributes:
        rows: `[n, D + 2, and zeros]`, the last two the high and low part of the product with the mean.
        mean: `[D]`.
        length: the longest row's, and `lost` the largest that rounding took from a row.
        share_lost: the largest that rounding took from a product with the mean.
    """

    rows: Tensor
    mean: Tensor
    length: float
    lost: float
    share_lost: float

    @classmethod
    def of(cls, x: Tensor) -> Coarse:
        """Round the rows of `x [n, D]`, a span at a time."""
        mean = torch.stack([part.double().sum(0) for part in x.split(SPAN)]).sum(0).div_(len(x)).float()
        rows = torch.zeros(len(x), -(-(x.shape[1] + 2) // MULTIPLE) * MULTIPLE, dtype=torch.bfloat16)
        length = lost = share_lost = 0.0
        for start in range(0, len(x), SPAN):
            part = x[start : start + SPAN].float() - mean
            share = (part @ mean)[:, None]
            high = share.bfloat16()
            low = (share - high.float()).bfloat16()
            rounded = torch.cat([part.bfloat16(), high, low], 1)
            rows[start : start + SPAN, : rounded.shape[1]] = rounded
            length = max(length, float(part.norm(dim=1).max()))
            gap = part - rounded[:, :-2].float()
            lost = max(lost, float(gap.norm(dim=1).max()))
            share_lost = max(share_lost, float((share - high.float() - low.float()).abs().max()))
        return cls(rows, mean, length, lost, share_lost)

    def scores(self, queries: Tensor) -> tuple[Iterator[tuple[int, Tensor]], Tensor]:
        """Return the scores `[q, n]` of `queries [q, D]`, span by span with where each begins, and how far off `[q]` they
        are before they are rounded to bf16 themselves."""
        about = queries - self.mean
        rounded = about.bfloat16()
        wide = F.pad(
            torch.cat([rounded, rounded.new_ones(len(rounded), 2)], 1), (0, self.rows.shape[1] - about.shape[1] - 2)
        )
        off = (about - rounded.float()).norm(dim=1) * self.length + rounded.float().norm(dim=1) * self.lost + self.share_lost
        # Of the sums in fp32, here, of the products with the mean, and of those by which candidates are compared.
        whole = (about.norm(dim=1) + queries.norm(dim=1) + self.mean.norm()) * (self.length + self.mean.norm())
        off = off + whole * wide.shape[1] * 2.0**-23 + torch.finfo(torch.float32).tiny
        spans = ((start, wide @ self.rows[start : start + SPAN].T) for start in range(0, len(self.rows), SPAN))
        return spans, off


def proved(coarse: Coarse, x: Tensor, queries: Tensor, k: int, more: int, itself: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the places `[q, k]` of the neighbours of queries, and whether they are sure `[q]`."""
    m = min(k + more, len(x))
    spans, off = coarse.scores(queries)
    best, places = torch.empty(len(queries), 0, dtype=torch.bfloat16), torch.empty(len(queries), 0, dtype=torch.long)
    for start, scores in spans:
        values, found = largest(scores, min(m, scores.shape[1]))
        best, places = torch.cat([best, values], 1), torch.cat([places, found + start], 1)
        if best.shape[1] > m:
            best, kept = best.topk(m, sorted=False)
            places = places.gather(1, kept)
    exact = compared(x, queries, places, itself)
    kth, found = ordered(exact, places, k)
    least = best.float().amin(1)
    unseen = least + least.abs() * 2.0**-8 + off + queries @ coarse.mean  # what rows that were left out can reach
    return found, (kth > unseen) | (m == len(x))


def largest(scores: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Return the m largest of scores `[q, n]`, and where they are, in no order.

    They lie in the m groups whose largest scores are the largest, so that few have to be sorted.
    """
    groups = scores.shape[1] // GROUP
    if groups < 2 * m:
        return torch.topk(scores, m, sorted=False)
    even = scores[:, : groups * GROUP].unflatten(1, (GROUP, groups))
    named = even.amax(1).topk(m, sorted=False).indices
    inside = (named[:, None] + torch.arange(GROUP, device=named.device)[:, None] * groups).flatten(1)
    rest = torch.arange(groups * GROUP, scores.shape[1], device=named.device).expand(len(scores), -1)
    inside = torch.cat([inside, rest], 1)
    values, kept = scores.gather(1, inside).topk(m, sorted=False)
    return values, inside.gather(1, kept)


def compared(x: Tensor, queries: Tensor, places: Tensor, itself: Tensor | None) -> Tensor:
    """Return the products `[q, m]` in fp32 of queries with the rows at places `[q, m]`; a row has none with itself."""
    exact = torch.stack([x[place].float() @ query for query, place in zip(queries, places, strict=True)])
    return exact if itself is None else exact.masked_fill_(places == itself[:, None], NEVER)


def ordered(exact: Tensor, places: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k-th largest `[q]`, and the places `[q, k]` of the k largest, falling."""
    places, order = places.sort(1)
    exact, best = exact.gather(1, order).sort(dim=1, descending=True, stable=True)
    return exact[:, k - 1], places.gather(1, best[:, :k])


def plainly(x: Tensor, queries: Tensor, k: int, itself: Tensor | None) -> Tensor:
    """Return the places `[q, k]` of neighbours by comparing with every row in fp32."""
    exact = torch.cat([queries @ part.float().T for part in x.split(SPAN)], 1)
    if itself is not None:
        exact.scatter_(1, itself[:, None], NEVER)
    return ordered(exact, torch.arange(len(x)).expand(len(queries), -1), k)[1]
