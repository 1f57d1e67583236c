"""Images of one view of a part that was turned or mirrored, found where neither the data nor file names tell parts.

No bound on likeness holds for every set: solar cells, each of which is another cell, are as alike as turned images of
one casting. So two things must hold of the whole set. Alike pairs lie far above the set's other pairs, and they are
alike at turns of every kind; cells that a camera sees in one position agree in that position alone.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shared.registry.artifact import Preprocessing
from training.data.likeness import Groups
from training.data.look import Look
from training.data.pixels import decode_files
from training.data.records import Record
from training.data.rings import ANGLES, SIDE, Floats, Rings, alike_at_any_turn, take_rings

_FEWEST, _MOST = 40, 8000  # images; the time grows with the square of their number
_SAMPLE = 500
_ABOVE = 12.0  # times the distance from the lowest tenth of all pairs to the median, beyond the median
_SEEN_AGAIN_SAMPLE, _SEEN_AGAIN = 0.05, 0.5  # of the images are alike to another one
_UPRIGHT_SHARE = 0.5  # of the alike pairs may be alike unturned or by a quarter turn
_ACROSS = 0.1  # of the pairs across two groups are alike where both are one
_LARGEST_SHARE = 0.2  # a view that so many images show is the product's design
_CHUNK, _ROWS, _COLUMNS = 256, 32, 128


def turned_views(records: Sequence[Record], looks: Sequence[Look], full_scale: int | None) -> list[list[int]]:
    """Places of the images of each view with two images or more; empty where the set does not show views again."""
    spec = _spec(looks, full_scale)
    if spec is None:
        return []
    sample = np.random.default_rng(0).permutation(len(records))[:_SAMPLE]
    bound = _bound([records[place] for place in sample], spec)
    if bound is None:
        return []
    views = views_of(len(records), _alike_pairs(_rings(records, spec), bound))
    again = sum(map(len, views)) >= _SEEN_AGAIN * len(records)
    return views if again and max(map(len, views)) <= _LARGEST_SHARE * len(records) else []


def _spec(looks: Sequence[Look], full_scale: int | None) -> Preprocessing | None:
    """The form in which images are compared; None for too few, too many or too small ones."""
    if not _FEWEST <= len(looks) <= _MOST:
        return None
    width, height = (
        float(np.median([getattr(look, side) for look in looks])) for side in ("width", "height")
    )
    shorter = min(width, height)
    if shorter < SIDE:
        return None
    return Preprocessing(round(SIDE * width / shorter), round(SIDE * height / shorter), 1, full_scale)


def _rings(records: Sequence[Record], spec: Preprocessing) -> Rings:
    top, left = (spec.height - SIDE) // 2, (spec.width - SIDE) // 2
    taken = []
    for start in range(0, len(records), _CHUNK):
        pixels = decode_files([record.path for record in records[start : start + _CHUNK]], spec)
        taken += [take_rings(image) for image in pixels[:, top : top + SIDE, left : left + SIDE, 0]]
    return np.stack(taken)


def _bound(sample: Sequence[Record], spec: Preprocessing) -> float | None:
    """The likeness that is far above the set's other pairs; None where hardly any pair reaches it, or where those
    that do are alike in one position."""
    likeness, turns = np.zeros((2, len(sample), len(sample)), np.float32)
    for rows, columns, found, at in _compared(_rings(sample, spec)):
        likeness[rows, columns], turns[rows, columns] = found, at
    pairs = np.triu_indices(len(sample), 1)
    # The lower half of the pairs says how unlike parts scatter, since few parts make many alike pairs in the upper.
    lowest, median = np.quantile(likeness[pairs], (0.1, 0.5))
    bound = float(median + _ABOVE * (median - lowest))
    alike = np.triu(likeness > bound, 1)
    if (alike | alike.T).any(axis=1).mean() < _SEEN_AGAIN_SAMPLE:
        return None
    past = turns[alike] % (ANGLES // 4)
    upright = np.minimum(past, ANGLES // 4 - past) <= 1
    return bound if upright.mean() <= _UPRIGHT_SHARE else None


def _compared(rings: Rings) -> Iterator[tuple[slice, slice, Floats, NDArray[np.intp]]]:
    """Likeness and turn of every pair of images, in tiles that stay in the cache."""
    tiles = [
        (slice(row, row + _ROWS), slice(column, column + _COLUMNS))
        for row in range(0, len(rings), _ROWS)
        for column in range(row - row % _COLUMNS, len(rings), _COLUMNS)
    ]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda tile: alike_at_any_turn(rings[tile[0]], rings[tile[1]]), tiles)
        for (rows, columns), (likeness, turns) in zip(tiles, found, strict=True):
            yield rows, columns, likeness, turns


def _alike_pairs(rings: Rings, bound: float) -> NDArray[np.intp]:
    """Pairs (N, 2) of places that are more alike than the bound, the most alike first."""
    pairs, how_alike = [], []
    for rows, columns, likeness, _ in _compared(rings):
        one, other = np.nonzero(likeness > bound)
        pair = np.stack([one + rows.start, other + columns.start], 1)
        upper = pair[:, 0] < pair[:, 1]
        pairs.append(pair[upper])
        how_alike.append(likeness[one, other][upper])
    return np.concatenate(pairs)[np.argsort(-np.concatenate(how_alike), kind="stable")]


def views_of(count: int, pairs: NDArray[np.intp]) -> list[list[int]]:
    """Groups of two or more of `count` places, by alike pairs (N, 2). Two groups become one where enough of the pairs
    across them are alike, so that one false pair joins no two large groups."""
    alike = np.zeros((count, count), np.bool_)
    alike[pairs[:, 0], pairs[:, 1]] = alike[pairs[:, 1], pairs[:, 0]] = True
    groups, refused = Groups(count), set()
    members = {place: [place] for place in range(count)}
    for one, other in pairs.tolist():
        a, b = sorted((groups.root(one), groups.root(other)))
        case = (a, b, len(members[a]), len(members[b]))
        if a == b or case in refused:
            continue
        if alike[np.ix_(members[a], members[b])].mean() < _ACROSS:
            refused.add(case)
            continue
        groups.join(a, b)
        members[a] += members.pop(b)
    return [sorted(places) for places in members.values() if len(places) > 1]
