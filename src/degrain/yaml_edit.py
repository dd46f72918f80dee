"""Setting values in the text of a YAML file, with everything else in it kept as it stands."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from degrain.errors import DegrainError

Change = tuple[yaml.Node, yaml.Node, object]

GAP = re.compile(" +(?=#)")


class EditError(DegrainError):
    """A document in which values cannot be set one by one."""


def overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with nested changes, which may bring new keys."""
    out = dict(base)
    for key, value in changes.items():
        inside = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = overlaid(out[key], value) if inside else value
    return out


def set_values(text: str, values: Mapping[str, Any]) -> str:
    """Set values in a document; comments, order and the spelling of equal values stay.

    Parameters
    ----------
    text : a mapping in YAML.
    values : nested mappings whose leaves replace those of the same keys.

    Raises
    ------
    EditError : where that alone does not give the values wanted: a key is not in the text, or its
        value is written elsewhere, by an anchor.
    """
    before = yaml.safe_load(text)
    changes = _changes(yaml.compose(text, Loader=yaml.SafeLoader), before, values)
    after = text
    for start, stop, new in sorted((_edit(text, *change) for change in changes), reverse=True):
        after = after[:start] + new + after[stop:]
    if not _reads_as(after, overlaid(before, values)):
        msg = "expected every key in it, with its value written beside it; is there an anchor? write it out"
        raise EditError(msg)
    return after


def _reads_as(text: str, values: object) -> bool:
    try:
        return bool(yaml.safe_load(text) == values)
    except yaml.YAMLError:
        return False


def _changes(node: Any, before: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Change]:
    """Key, value and the value wanted instead, where they differ."""
    for key, value in node.value:
        wanted, found = values.get(key.value), before.get(key.value)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            yield from _changes(value, found, wanted)
        elif key.value in values and wanted != found:
            yield key, value, wanted


def _edit(text: str, key: yaml.Node, value: yaml.Node, wanted: object) -> tuple[int, int, str]:
    """From and up to which character to replace, and by what."""
    new = yaml.safe_dump([wanted], default_flow_style=True, width=math.inf)[1:-2]
    start, stop = value.start_mark.index, _stop(value)
    if value.start_mark.line > key.end_mark.line:  # a list below its key goes beside it
        return key.end_mark.index, stop, f": {new}"
    # A comment behind it stays in its column.
    gap = GAP.match(text, stop)
    if gap:
        new, stop = new + " " * max(1, gap.end() - start - len(new)), gap.end()
    return start, stop, new


def _stop(node: Any) -> int:
    """Where a node ends; the mark of a block comes after the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _stop(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)
