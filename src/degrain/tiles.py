"""Cut large images into tiles that overlap."""

from __future__ import annotations

from degrain.turns import UPRIGHT, Turn

Window = tuple[slice, slice]
Tile = tuple[Window, Window, Window]

# What is kept of a tile, at most. Larger tiles lose less to their overlap; smaller ones need less memory.
TILE_PX = 704


def tiles(height: int, width: int, *, overlap_px: int, multiple: int = 1, turn: Turn = UPRIGHT) -> list[Tile]:
    """Cut an image into tiles that overlap, so that what is kept of each sees its surroundings.

    Parameters
    ----------
    overlap_px : what a tile sees around what is kept of it.
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
    """How many tiles of an image so wide, after one, still see some of it; see `tiles`."""
    rows = -(-2 * (overlap_px + multiple) // TILE_PX)  # no tile is shorter than half
    return rows * (-(-width // TILE_PX) + 1)


def _spans(length: int, overlap_px: int, multiple: int, *, reverse: bool) -> list[tuple[slice, slice, slice]]:
    """Along one axis: what to restore, what to keep of it, where that belongs."""
    spans = []
    count = -(-length // TILE_PX)
    step = -(-length // count)  # all alike, rather than a sliver at the end
    for start in range(0, length, step):
        stop = min(start + step, length)
        first, last = (length - stop, length - start) if reverse else (start, stop)
        begin = max(0, first - overlap_px) // multiple * multiple
        end = min(length, -(-(last + overlap_px) // multiple) * multiple)
        spans.append((slice(begin, end), slice(first - begin, last - begin), slice(start, stop)))
    return spans
