"""Presets: whole experiments, each a part of params.yaml that reproduces one row of a benchmark."""

from __future__ import annotations

import difflib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from degrain.errors import DegrainError
from degrain.files import write_text
from degrain.params import parse_params
from degrain.yaml_edit import EditError, overlaid, set_values

FOLDER = Path("presets")
PARAMS = Path("params.yaml")
# What every preset is laid over; it names each setting that any of them changes, or that decides a result.
BASE = "default"


class PresetError(DegrainError):
    """A preset that cannot be applied; params.yaml is as it was."""


def list_presets() -> dict[str, str]:
    """Name -> what it is for, by the first line of its file."""
    return {
        name: path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        for name, path in _find().items()
    }


def apply_preset(name: str, *, force: bool = False) -> str:
    """Write the values of a preset into params.yaml; every other line stays as it is.

    Parameters
    ----------
    name : of a file in the folder `presets`. What it leaves open is taken from `default`, so that the
        result depends neither on the presets that were applied before nor on changes by hand.
    force : overwrite changes that git does not hold.

    Returns
    -------
    The difference, as a unified diff; empty, and nothing written, if there is none.

    Raises
    ------
    PresetError, ParamsError : saying what was expected, what was found and what to do.
    """
    path = _path(name)
    before, values = _read(PARAMS)
    parse_params(values, name=str(PARAMS))
    after = _set(before, _values(path, values))
    if after != before:
        if not force:
            _refuse_unsaved()
        write_text(PARAMS, after)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), f"a/{PARAMS}", f"b/{PARAMS}", lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)


def _find() -> dict[str, Path]:
    found = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
    if BASE not in found:
        msg = f"{FOLDER}/{BASE}.yaml: not found; run this where params.yaml is, at the top of the project"
        raise PresetError(msg)
    return found


def _path(name: str) -> Path:
    found = _find()
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        meant = f"did you mean {near[0]}?" if near else f"expected one of: {', '.join(found)}"
        msg = f"{FOLDER}/{name}.yaml: no such preset; {meant}"
        raise PresetError(msg)
    return found[name]


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Text, line ends as they are, and values."""
    try:
        text = path.read_bytes().decode("utf-8")
        values = yaml.safe_load(text)
    except FileNotFoundError:
        msg = f"{path}: not found; run this where params.yaml is, at the top of the project"
        raise PresetError(msg) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: not valid YAML: {error}"
        raise PresetError(msg) from error
    if not isinstance(values, dict):
        msg = f"{path}: expected settings as in params.yaml, found {values!r}"
        raise PresetError(msg)
    return text, values


def _values(path: Path, present: Mapping[str, Any]) -> dict[str, Any]:
    """All that a preset sets, checked together with the present values of the rest."""
    base_path = path.with_stem(BASE)
    base, own = _read(base_path)[1], _read(path)[1]
    values = overlaid(base, own)
    parse_params(overlaid(present, values), name=f"{PARAMS} with {path}")
    stray = sorted(set(_names(own)) - set(_names(base)))
    if stray:
        msg = (
            f"{path}: sets {', '.join(stray)}, which {base_path} does not; "
            "write the usual value there, so that other presets bring it back"
        )
        raise PresetError(msg)
    return values


def _names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted name of every value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _set(text: str, values: Mapping[str, Any]) -> str:
    try:
        return set_values(text, values)
    except EditError as error:
        msg = f"{PARAMS}: {error}"
        raise PresetError(msg) from error


def _refuse_unsaved() -> None:
    """Let nothing be overwritten that git could not bring back."""
    command = ["git", "status", "--porcelain", "--ignored", "--", str(PARAMS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        found, advice = "git, which would keep its present values, was not found", "install git"
    else:
        if done.returncode:
            found = f"git does not keep its present values ({done.stderr.strip()})"
            advice = f"run git init, git add {PARAMS} and git commit"
        elif done.stdout:
            found = "has changes that git does not hold"
            advice = f"commit them, or drop them with git restore --staged --worktree {PARAMS}"
        else:
            return
    msg = f"{PARAMS}: {found}; {advice}, or overwrite it with --force"
    raise PresetError(msg)
