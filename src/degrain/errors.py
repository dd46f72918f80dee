"""What can go wrong for reasons that a user can mend; commands print these without a traceback."""

from __future__ import annotations

from pathlib import Path


class DegrainError(ValueError):
    """Something the user can mend; the message says what was expected, what was found, what to do."""


class DataError(DegrainError):
    """A data set that cannot be used."""


class ImageFileError(DegrainError):
    """An image file that cannot be read or written.

    Parameters
    ----------
    path : the file, as the user knows it.
    reason : what is wrong with it, without the path.
    advice : what to do about it.
    """

    def __init__(self, path: Path, reason: str, advice: str) -> None:
        super().__init__(f"{path}: {reason}; {advice}")
        self.path = path
        self.reason = reason
        self.advice = advice
