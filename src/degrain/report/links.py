"""How a Markdown file refers to files of the project, as they are and as they were."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from degrain.errors import DegrainError
from degrain.files import write_bytes
from degrain.report.revisions import file_at


@dataclass(frozen=True)
class Links:
    """Addresses for a Markdown file.

    Attributes
    ----------
    output : the Markdown file.
    before, now : commits.
    address : where files of a commit can be fetched, as ADDRESS/COMMIT/PATH: a comment on a forge can
        show no file of this machine. None: the Markdown file is read here, and refers to files beside it.
    """

    output: Path
    before: str
    now: str
    address: str | None

    def to_present(self, path: Path) -> str:
        """Where a file of the working tree is found.

        Raises
        ------
        DegrainError : there is an address, and the file is not in the present commit as it is here.
        """
        if self.address is None:
            return self._beside(path)
        if file_at(self.now, path) != path.read_bytes():
            found = f"not in the commit {self.now[:12]} as it is here"
            msg = f"{path}: {found}, so nobody could fetch it; commit it first"
            raise DegrainError(msg)
        return self._at(self.now, path)

    def to_past(self, path: Path, content: bytes) -> str:
        """Where a file of the earlier commit is found; here it is written out, beside the report."""
        if self.address is not None:
            return self._at(self.before, path)
        copy = self.output.with_name(f"{self.output.stem}_before") / path.name
        write_bytes(copy, content)
        return self._beside(copy)

    def _at(self, commit: str, path: Path) -> str:
        return f"{self.address}/{commit}/{quote(path.as_posix())}"

    def _beside(self, path: Path) -> str:
        return quote(Path(os.path.relpath(path, self.output.parent)).as_posix())
