"""The gate's decision, as `degrain promote --output` writes it, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from degrain.errors import DegrainError
from degrain.report.markdown import table


def read_decision(path: Path) -> dict[str, Any]:
    """Read a decision.

    Raises
    ------
    DegrainError : the file is not there, or is no decision.
    """
    try:
        decision = json.loads(path.read_text(encoding="utf-8"))
        decision["outcome"], decision["verdicts"]
    except FileNotFoundError:
        msg = f"{path}: no such file; `degrain promote --dry-run --output {path}` writes it"
        raise DegrainError(msg) from None
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path}: expected a decision of `degrain promote`, with `outcome` and `verdicts` ({error!r})"
        raise DegrainError(msg) from error
    return dict(decision)


def check_is_of(decision: Mapping[str, Any], sha256: str, path: Path) -> None:
    """That a decision is about a model.

    Parameters
    ----------
    sha256 : of its weights; path : of the decision.

    Raises
    ------
    DegrainError : it is about another one.
    """
    if decision.get("challenger") != sha256:
        found = str(decision.get("challenger"))[:12]
        msg = f"{path}: a decision on the model {found}; expected one on {sha256[:12]}, the one here"
        raise DegrainError(msg)


def outcome(decision: Mapping[str, Any]) -> str:
    """In words: a dry run has promoted nothing."""
    found = str(decision["outcome"])
    return f"would be {found}" if found == "promoted" and decision.get("dry_run") else found


def decision_markdown(decision: Mapping[str, Any]) -> str:
    """Every rule with its figure, its limit and what it says."""
    champion = decision.get("champion")
    against = f"champion `{champion[:12]}`" if champion else "no champion yet"
    rows = [_row(verdict) for verdict in decision["verdicts"]]
    return f"{outcome(decision).capitalize()}; {against}.\n\n" + table(
        ["rule", "figure", "limit", "", "note"], rows, right=(1, 2)
    )


def _row(verdict: Mapping[str, Any]) -> list[str]:
    unit = f" {verdict['unit']}" if verdict["unit"] else ""
    return [
        verdict["rule"],
        f"{verdict['figure']:.4g}{unit}",
        f"{verdict['relation']} {verdict['limit']:g}{unit}",
        _result(verdict),
        verdict.get("note", ""),
    ]


def _result(verdict: Mapping[str, Any]) -> str:
    if not verdict.get("counts", True):
        return "for information"
    return "passed" if verdict["passed"] else "**failed**"
