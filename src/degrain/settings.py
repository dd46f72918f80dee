"""Single values of params.yaml, set from outside: by hand, by a form, by a signal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from degrain.errors import DegrainError
from degrain.files import write_text
from degrain.params import load_params, parse_params
from degrain.yaml_edit import overlaid, set_values

PARAMS = Path("params.yaml")
ASSIGNMENT = re.compile(r"(?P<key>[a-z]\w*(?:\.[a-z]\w*)*)=(?P<value>.+)", re.ASCII)


def assign(assignments: Sequence[str]) -> None:
    """Set values in params.yaml; comments and all else stay.

    Parameters
    ----------
    assignments : KEY=VALUE, the key with dots, the value as YAML writes it.

    Raises
    ------
    DegrainError : naming the first that is no assignment, or every setting that would not be valid;
        params.yaml is as it was.
    """
    load_params(PARAMS)
    text = PARAMS.read_bytes().decode("utf-8")
    present: dict[str, Any] = yaml.safe_load(text)
    wanted: dict[str, Any] = {}
    for assignment in assignments:
        wanted = overlaid(wanted, _nested(assignment))
    parse_params(overlaid(present, wanted), name=f"{PARAMS} with {' '.join(assignments)}")
    write_text(PARAMS, set_values(text, wanted))


def _nested(assignment: str) -> dict[str, Any]:
    """noise.kind=poisson -> {"noise": {"kind": "poisson"}}."""
    found = ASSIGNMENT.fullmatch(assignment)
    if found is None:
        msg = f"{assignment!r}: expected KEY=VALUE, like noise.kind=poisson or noise.gaussian.train=[0,75]"
        raise DegrainError(msg)
    value = _value(found["value"], assignment)
    for part in reversed(found["key"].split(".")):
        value = {part: value}
    return dict(value)


def _value(text: str, assignment: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        msg = f"{assignment!r}: the value is not valid YAML; expected one like 3, true, poisson or [0,75]"
        raise DegrainError(msg) from None
    try:  # PyYAML takes 1e-4 for a word
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
