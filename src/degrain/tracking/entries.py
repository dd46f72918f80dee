"""What a run can be sent: an entry delivers itself, twice without harm, and can wait as JSON and files."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from degrain.codecs import decode
from degrain.codecs.png import encode_png
from degrain.tracking.describe import deliver_description
from degrain.tracking.generator import NOT_CODE, PACKAGE, Interface, deliver_generator, logged_model_of
from degrain.tracking.session import Session

if TYPE_CHECKING:
    import pandas as pd

Values = dict[str, Any]
FAITHFUL = "faithful"


@runtime_checkable
class Entry(Protocol):
    """Something to send."""

    def deliver(self, session: Session) -> object:
        """Send it, unless the run has it."""
        ...

    def pack(self, folder: Path) -> Values:
        """What JSON can hold of it; files go to `folder`, which is empty and there."""
        ...

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        ...


class Plain:
    """An entry that JSON holds as it is."""

    def pack(self, folder: Path) -> Values:
        """All of it."""
        del folder
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        del folder
        return cls(**values)


class Point(NamedTuple):
    """One value of one curve."""

    name: str
    value: float
    time_ms: int
    step: int


@dataclass(frozen=True)
class Points:
    """Some of the points of some curves."""

    points: list[Point]

    def deliver(self, session: Session) -> None:
        """Send those at steps that the curves do not have."""
        from mlflow.entities import Metric

        known = session.known_steps
        new = [Metric(*point) for point in self.points if point.step not in known.get(point.name, ())]
        if new:
            session.client.log_batch(session.run_id, metrics=new)

    def pack(self, folder: Path) -> Values:
        """The values as text: JSON knows no infinity."""
        del folder
        return {"points": [(name, repr(value), time_ms, step) for name, value, time_ms, step in self.points]}

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        del folder
        return cls([Point(name, float(text), *rest) for name, text, *rest in values["points"]])


@dataclass(frozen=True)
class Picture:
    """An image (H, W, C) at a step, for the picture panel."""

    key: str
    step: int
    pixels: NDArray[np.uint8]

    def deliver(self, session: Session) -> None:
        """Send it."""
        if (self.key, self.step) not in session.pictures:
            session.client.log_image(
                session.run_id, self.pixels, key=self.key, step=self.step, synchronous=True
            )

    def pack(self, folder: Path) -> Values:
        """The pixels as PNG."""
        (folder / "pixels.png").write_bytes(encode_png(self.pixels))
        return {"key": self.key, "step": self.step}

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        file = folder / "pixels.png"
        return cls(values["key"], values["step"], decode(file.read_bytes(), file).pixels)


@dataclass(frozen=True)
class Table:
    """A table that the run's page shows."""

    name: str
    frame: pd.DataFrame

    def deliver(self, session: Session) -> None:
        """Send it; to a table that is there MLflow would add the rows once more."""
        file = f"{self.name}.json"
        if not any(one.path == file for one in session.client.list_artifacts(session.run_id)):
            session.client.log_table(session.run_id, self.frame, file)

    def pack(self, folder: Path) -> Values:
        """The columns and rows."""
        del folder
        return {"name": self.name, "table": self.frame.to_dict(orient="split", index=False)}

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        import pandas as pd

        del folder
        return cls(values["name"], pd.DataFrame(**values["table"]))


@dataclass(frozen=True)
class File:
    """A file, in a folder of the run's artifacts."""

    path: Path
    folder: str | None

    def deliver(self, session: Session) -> None:
        """Send it."""
        session.client.log_artifact(session.run_id, str(self.path), self.folder)

    def pack(self, folder: Path) -> Values:
        """The file as it is now."""
        shutil.copy(self.path, folder)
        return {"name": self.path.name, "folder": self.folder}

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        return cls(folder / values["name"], values["folder"])


@dataclass(frozen=True)
class Generator:
    """A generator's safetensors file, the other end of its dial, and the package that runs it."""

    interface: Interface
    weights: Path
    faithful: Path | None = None
    package: Path = PACKAGE

    def deliver(self, session: Session) -> None:
        """Log it as a model."""
        if not logged_model_of(session.store, session.run_id, self.interface):
            deliver_generator(session, self.interface, self.weights, self.faithful, self.package)

    def pack(self, folder: Path) -> Values:
        """The weights, and the code as it is now."""
        shutil.copy(self.weights, folder)
        if self.faithful:  # both files may be called the same
            (folder / FAITHFUL).mkdir()
            shutil.copy(self.faithful, folder / FAITHFUL)
        shutil.copytree(self.package, folder / self.package.name, ignore=NOT_CODE)
        return {"interface": self.interface, "weights": self.weights.name, "package": self.package.name}

    @classmethod
    def unpack(cls, values: Values, folder: Path) -> Self:
        """Undo `pack`."""
        faithful = next((folder / FAITHFUL).glob("*"), None)
        return cls(values["interface"], folder / values["weights"], faithful, folder / values["package"])


@dataclass(frozen=True)
class Tags(Plain):
    """Tags of the run."""

    tags: dict[str, str]

    def deliver(self, session: Session) -> None:
        """Send them."""
        from mlflow.entities import RunTag

        session.client.log_batch(session.run_id, tags=[RunTag(*tag) for tag in self.tags.items()])


@dataclass(frozen=True)
class Description(Plain):
    """The params by dotted name, and the hashes of the files that stand for the data."""

    stage: str
    params: dict[str, str]
    hashes: dict[str, str]

    def deliver(self, session: Session) -> None:
        """Send it."""
        deliver_description(session, self.stage, self.params, self.hashes)


@dataclass(frozen=True)
class End(Plain):
    """How and when the run ended: FINISHED, FAILED or KILLED."""

    status: str
    time_ms: int

    def deliver(self, session: Session) -> None:
        """Send it; a run that has finished meanwhile stays so."""
        session.end(self.status, self.time_ms)


KINDS: dict[str, type[Entry]] = {
    kind.__name__: kind for kind in (Points, Picture, Table, File, Generator, Tags, Description, End)
}


def write_entry(entry: Entry, folder: Path) -> None:
    """Write an entry to a folder of its own, which is made."""
    folder.mkdir(parents=True)
    values = {"kind": type(entry).__name__, "values": entry.pack(folder)}
    (folder / "entry.json").write_text(json.dumps(values), encoding="utf-8")


def read_entry(folder: Path) -> Entry:
    """Undo `write_entry`."""
    stored = json.loads((folder / "entry.json").read_text(encoding="utf-8"))
    return KINDS[stored["kind"]].unpack(stored["values"], folder)
