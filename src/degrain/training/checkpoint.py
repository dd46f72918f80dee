"""Checkpoints outside DVC's outputs, so that a killed training resumes to the same bytes."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml

from degrain.errors import DegrainError
from degrain.files import atomic_write, sha256_file
from degrain.params import Params

ROOT = Path(".checkpoints")
logger = logging.getLogger(__name__)


def stage_key(stage: str, params: Params, *, pipeline: Path = Path("dvc.yaml")) -> str:
    """Hash of all that decides a stage's result: its params, its input files and its code.

    They are those that dvc.yaml declares, so an edit elsewhere voids no checkpoint.
    """
    declared = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"][stage]
    values = {key: _value(params.model_dump(mode="json"), key) for key in _keys(declared["params"])}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in sorted(_files(declared["deps"])):
        digest.update(f"{path.as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()[:16]


def _keys(declared: list[str | dict[str, list[str]]]) -> Iterator[str]:
    """The params of a stage, of whichever file."""
    for entry in declared:
        yield from [entry] if isinstance(entry, str) else chain.from_iterable(entry.values())


def _value(values: Any, dotted: str) -> Any:
    """What {"a": {"b": value}} holds under "a.b"."""
    for part in dotted.split("."):
        values = values[part]
    return values


def _files(declared: list[str]) -> Iterator[Path]:
    for path in map(Path, declared):
        if path.is_dir():
            yield from (
                file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
            )
        else:
            yield path


class Checkpoint:
    """A state of one training, the last unless named otherwise, in a folder named after all it depends on."""

    def __init__(self, stage: str, key: str, *, root: Path = ROOT, name: str = "state.pt") -> None:
        self.folder = root / stage / key
        self.path = self.folder / name
        self._family = _family()

    def save(self, state: dict[str, object]) -> None:
        """Replace the checkpoint, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as aside:
            torch.save(state, aside)

    def load(self) -> dict[str, object] | None:
        """The last state, on the processor, or None if there is none.

        Raises
        ------
        DegrainError : the file cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            state: dict[str, object] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            # Their own words run over many lines and advise to switch off what makes loading safe.
            reason = type(error).__name__
            msg = f"{self.path}: not a checkpoint that can be resumed ({reason}); delete it to start afresh"
            raise DegrainError(msg) from error
        return state

    def beside(self, name: str) -> Checkpoint:
        """Another state of the same training, which goes when this one does."""
        return Checkpoint(self.folder.parent.name, self.folder.name, root=self.folder.parents[1], name=name)

    def finish(self) -> None:
        """Delete the checkpoint, for its stage has written its outputs.

        It stays where the process that started the stage is gone: then nobody takes the outputs
        over, and the next `dvc repro` runs the stage again, from here.
        """
        ancestors = [parent.pid for parent in psutil.Process().parents()]
        if ancestors[: len(self._family)] == self._family:
            shutil.rmtree(self.folder, ignore_errors=True)


def _family() -> list[int]:
    """From the parent to the process that runs the stage, which may do so by a shell; none further up."""
    family = []
    for parent in psutil.Process().parents():
        family.append(parent.pid)
        if not _runs_a_command(parent):
            break
    return family


def _runs_a_command(process: psutil.Process) -> bool:
    """Whether it is a shell as dvc and make start it: sh -c 'a command'."""
    try:
        program, *options = process.cmdline() or [""]
    except psutil.Error:
        return False
    return Path(program).name.endswith("sh") and "-c" in options
