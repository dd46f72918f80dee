"""Cut large images into tiles that overlap."""

from __future__ import annotations

import math

from degrain.turns import UPRIGHT, Turn

Window = tuple[slice, slice]
Tile = tuple[Window, Window, Window]

# What is kept of a tile, at most. Larger tiles lose less to their overlap; smaller ones need less memory.
TILE_PX = 704
# Convolutions are quicker on rows of so many pixels, or of multiples: 776 take two fifths longer than 800.
QUICK_PX = 32


def tiles(height: int, width: int, *, overlap_px: int, multiple: int = 1, turn: Turn = UPRIGHT) -> list[Tile]:
    """Cut an image into tiles that overlap, so that what is kept of each sees its surroundings.

    Parameters
    ----------
    overlap_px : what a tile sees around what is kept of it, at least; it sees more where its side is rounded
        up to a multiple of `QUICK_PX`.
    multiple : what a tile sees begins and ends at multiples of this, but for the end of the image,
        so that the strides of a network fall where they do in the whole image.
    turn : how the image is turned before it is cut.

    Returns
    -------
    For each tile: the window of the turned image to restore, the part of the result to keep, and
    where that, turned back, belongs. The tiles of every turn belong to the same places.
    """
    rows = _spans(height, overlap_px, multiple, reverse=turn.rows_reversed)
    columns = _spans(width, overlap_px, multiple, reverse=turn.columns_reversed)
    cut = []
    for row_seen, row_kept, row_place in rows:
        for column_seen, column_kept, column_place in columns:
            seen, kept = (row_seen, column_seen), (row_kept, column_kept)
            if turn.swapped:
                seen, kept = seen[::-1], kept[::-1]
            cut.append((seen, kept, (row_place, column_place)))
    return cut


def seen_later(width: int, overlap_px: int, multiple: int) -> int:
    """At most how many tiles of an image so wide, after one, still see some of it; see `tiles`."""
    rows = -(
        -2 * (overlap_px + math.lcm(multiple, QUICK_PX)) // TILE_PX
    )  # no tile but the last is shorter than half
    return rows * (-(-width // TILE_PX) + 1)


def _spans(length: int, overlap_px: int, multiple: int, *, reverse: bool) -> list[tuple[slice, slice, slice]]:
    """Along one axis: what to restore, what to keep of it, where that belongs."""
    spans = []
    count = -(-length // TILE_PX)
    step = -(-length // count)  # all alike, rather than a sliver at the end
    padded, quick = _up(length, multiple), math.lcm(multiple, QUICK_PX)
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = (length - stop, length - start) if reverse else (start, stop)
        begin = max(0, first - overlap_px) // multiple * multiple
        side = _up(min(padded, _up(last + overlap_px, multiple)) - begin, quick)
        begin = max(0, min(begin, padded - side))
        seen, kept = slice(begin, min(length, begin + side)), slice(first - begin, last - begin)
        spans.append((seen, kept, slice(start, stop)))
    return spans


def _up(length: int, multiple: int) -> int:
    """The next multiple."""
    return -(-length // multiple) * multiple
