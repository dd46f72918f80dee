"""Values on the command line: what they must be, and how they are read."""

from __future__ import annotations

import argparse
from typing import TypeAlias

# Where a command adds itself. A string, because the class cannot be subscripted when it runs.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def sigma_255(text: str) -> float | None:
    """A level in units of 255, or None for auto."""
    return None if text == "auto" else number(text, 255, "auto or a number from 0 to 255")


def share(text: str) -> float:
    """A number from 0 to 1."""
    return number(text, 1, "a number from 0 to 1")


def number(text: str, most: float, expected: str) -> float:
    """A number from 0 to `most`; argparse shows what was expected instead."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        msg = f"{text!r}; expected {expected}"
        raise argparse.ArgumentTypeError(msg)
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def several(text: str) -> int:
    """A whole number of at least 2."""
    return _whole(text, 2)


def whole(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        msg = f"{text!r}; expected a whole number of at least {least}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
