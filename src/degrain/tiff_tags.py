"""Copy a TIFF's metadata into another TIFF byte by byte: description, resolution, EXIF, GPS, ...

Source: TIFF revision 6.0, section 2; BigTIFF design, https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

# The types whose values take so many bytes.
TYPES_BY_SIZE = {1: (1, 2, 6, 7), 2: (3, 8), 4: (4, 9, 11, 13), 8: (5, 10, 12, 16, 17, 18)}
TYPE_SIZES = {kind: size for size, kinds in TYPES_BY_SIZE.items() for kind in kinds}

# Directories of their own: EXIF, GPS and, within EXIF, interoperability.
DIRECTORIES = (34665, 34853, 40965)

# Tags that say how the pixels are stored, or hold copies of them. They belong to the file they are in.
STRUCTURAL = frozenset(
    {*range(254, 260), *range(262, 267), 273, *range(277, 282), 284, *range(288, 294), 301, 317, 320, 321}
    | {*range(322, 326), 330, 332, 333, 334, 336, *range(338, 344), 347, *range(512, 522), *range(529, 533)}
    | {*range(32995, 32999), 37724}
)


Parts = Sequence[bytes | bytearray | memoryview]


@dataclass(frozen=True)
class Tag:
    """A field of a directory.

    kind, count : type and number of the values; value : their bytes; children : of a directory.
    """

    kind: int
    count: int
    value: bytes
    children: dict[int, Tag] | None = None


@dataclass
class Appendix:
    """What is appended to a file of `start` bytes."""

    start: int
    data: bytearray = field(default_factory=bytearray)

    def append(self, data: bytes) -> int:
        """Append at an even offset, which is returned."""
        self.data += b"\0" * ((self.start + len(self.data)) % 2)
        at = self.start + len(self.data)
        self.data += data
        return at


@dataclass(frozen=True)
class Layout:
    """What tells the two kinds of TIFF in two orders of bytes apart, as formats of `struct`."""

    order: str
    number_of_tags: str
    tag: str
    offset: str
    offset_kind: int
    first: int

    @classmethod
    def of(cls, data: bytes) -> Layout:
        """Read from the first bytes of a file."""
        order: Literal["<", ">"] = "<" if data[:2] == b"II" else ">"
        if struct.unpack_from(order + "H", data, 2) == (43,):
            return cls(order, order + "Q", order + "HHQ8s", order + "Q", 16, first=8)
        return cls(order, order + "H", order + "HHI4s", order + "I", 4, first=4)

    @property
    def inline(self) -> int:
        """Values of so many bytes stand in the directory itself."""
        return struct.calcsize(self.offset)


def copy_tags(source: bytes, directory: int, target: bytes, *, without: Collection[int] = ()) -> Parts:
    """Give `target` the metadata of `source`; the two have the same order of bytes and kind of TIFF.

    Parameters
    ----------
    directory : offset of the page's directory in `source`.
    target : a TIFF of one page, whose tags are kept where `source` has none.
    without : numbers of tags to leave out besides those about the storage of the pixels.

    Returns
    -------
    The bytes of the new file in parts, so that the pixels are not copied.
    """
    layout = Layout.of(source)
    (first,) = struct.unpack_from(layout.offset, target, layout.first)
    left_out = STRUCTURAL | set(without)
    copied = {k: tag for k, tag in _read(source, directory, layout, 0).items() if k not in left_out}
    end = Appendix(len(target))
    start = _append_directory(end, _read(target, first, layout, 0) | copied, layout)
    pixels = layout.first + layout.inline
    return [target[: layout.first], struct.pack(layout.offset, start), memoryview(target)[pixels:], end.data]


def _read(data: bytes, at: int, layout: Layout, depth: int) -> dict[int, Tag]:
    """The tags of a directory by number, less those that are damaged or of unknown types."""
    tags: dict[int, Tag] = {}
    if at + struct.calcsize(layout.number_of_tags) > len(data):
        return tags
    (count,) = struct.unpack_from(layout.number_of_tags, data, at)
    at += struct.calcsize(layout.number_of_tags)
    step = struct.calcsize(layout.tag)
    for place in range(at, min(at + count * step, len(data) - step + 1), step):
        number, tag = _read_tag(data, place, layout, depth)
        if tag is not None:
            tags[number] = tag
    return tags


def _read_tag(data: bytes, at: int, layout: Layout, depth: int) -> tuple[int, Tag | None]:
    number, kind, count, value = struct.unpack_from(layout.tag, data, at)
    size = TYPE_SIZES.get(kind, 0) * count
    if size > layout.inline:
        (place,) = struct.unpack(layout.offset, value)
        value = data[place : place + size]
    value = value[:size]
    if not size or len(value) < size:
        return number, None
    if number not in DIRECTORIES:
        return number, Tag(kind, count, value)
    place = int.from_bytes(value, "little" if layout.order == "<" else "big")
    # Two levels exist; a damaged file may have a circle.
    children = _read(data, place, layout, depth + 1) if depth < 2 else {}
    return number, Tag(kind, count, value, children) if children else None


def _append_directory(end: Appendix, tags: dict[int, Tag], layout: Layout) -> int:
    """Append values and then the directory; returns its offset."""
    fields = bytearray()
    for number, tag in sorted(tags.items()):
        kind, count, value = tag.kind, tag.count, tag.value
        if tag.children is not None:
            kind, count = layout.offset_kind, 1
            value = struct.pack(layout.offset, _append_directory(end, tag.children, layout))
        elif len(value) > layout.inline:
            value = struct.pack(layout.offset, end.append(value))
        fields += struct.pack(layout.tag, number, kind, count, value)
    no_more = struct.pack(layout.offset, 0)
    return end.append(struct.pack(layout.number_of_tags, len(tags)) + fields + no_more)
