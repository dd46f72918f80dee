"""Challenger against champion: measured on the same files, decided by the rules, carried out."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from degrain.compute import Engine, start_engine
from degrain.errors import DegrainError
from degrain.lifecycle.candidates import check_files, measure_candidate, references
from degrain.lifecycle.evaluated import WEIGHTS, Evaluated, load_evaluated
from degrain.lifecycle.moves import history_row, move, remember, settle
from degrain.lifecycle.register import register_evaluated
from degrain.params import Params
from degrain.promotion import Decision, Measures, decide
from degrain.tracking.describe import git_tags
from degrain.tracking.registry import CHAMPION, Registry, Version

SHOWN = ("psnr", "ssim", "gmsd")


@dataclass(frozen=True)
class Ruling:
    """A decision and what it is about.

    Attributes
    ----------
    version : of the challenger, None if it is not registered.
    champion : at the time of the decision.
    measures : of challenger and champion.
    """

    model: str
    decision: Decision
    version: Version | None
    champion: Version | None
    measures: dict[str, Measures]
    dry_run: bool

    def as_json(self) -> dict[str, Any]:
        """All of it, for a file; figures with six digits behind the point."""
        numbers = {
            "challenger_version": self.version.number if self.version else None,
            "champion_version": self.champion.number if self.champion else None,
        }
        head = {"model": self.model, "dry_run": self.dry_run, **numbers}
        figures = {name: _figures(measures) for name, measures in self.measures.items()}
        return _rounded({**head, **git_tags(), **asdict(self.decision), "measures": figures})  # type: ignore[no-any-return]

    def row(self) -> dict[str, str]:
        """Its row of the history."""
        decision = self.decision
        gains = [one.figure for one in decision.verdicts if one.rule.startswith("PSNR gain")]
        return history_row(
            decision.outcome,
            self.model,
            version=self.version.number if self.version else "",
            champion_before=self.champion.number if self.champion else "",
            psnr_gain_db=f"{gains[0]:.4f}" if gains else "",
            failed="; ".join(one.rule for one in decision.verdicts if one.counts and not one.passed),
            model_sha256=decision.challenger,
            test_sha256=decision.test_sha256,
            git_commit=git_tags().get("git.commit", ""),
        )


def judge(registry: Registry, params: Params) -> tuple[Ruling, Evaluated]:
    """Measure the evaluated model and the champion on the test files, and decide; nothing is changed.

    Raises
    ------
    DegrainError : there is no evaluated model, or the test files are not those of the manifest.
    """
    evaluated = load_evaluated()
    check_files(evaluated.test)
    champion, engine = registry.holder(CHAMPION), start_engine(params.compute)
    challenger = measure_candidate(WEIGHTS, evaluated.test, engine, "challenger")
    measures = {"challenger": challenger}
    if champion:
        same = champion.sha256 == challenger.sha256
        measures["champion"] = challenger if same else _measure(registry, champion, evaluated, engine)
    decision = decide(challenger, measures.get("champion"), references(evaluated.summary), params.promote)
    version = registry.find(evaluated.sha256)
    return Ruling(registry.name, decision, version, champion, measures, dry_run=True), evaluated


def promote(registry: Registry, params: Params) -> Ruling:
    """Judge; then make the challenger the champion, or remember that it was refused.

    Raises
    ------
    DegrainError : see `judge`; or somebody else moved the champion meanwhile.
    """
    settle(registry)
    ruling, evaluated = judge(registry, params)
    ruling = replace(ruling, dry_run=False)
    if ruling.decision.outcome == "promoted":
        ruling = replace(ruling, version=register_evaluated(registry, evaluated, params))
    if ruling.version and ruling.decision.outcome != "unchanged":
        registry.keep_decision(ruling.version, ruling.decision.outcome, ruling.as_json())
    if ruling.decision.outcome == "refused":
        remember(ruling.row())
    elif ruling.decision.outcome == "promoted" and ruling.version:
        _check_unmoved(registry, ruling.champion)
        move(registry, ruling.version, ruling.champion, ruling.row())
    return ruling


def _measure(registry: Registry, champion: Version, evaluated: Evaluated, engine: Engine) -> Measures:
    with tempfile.TemporaryDirectory() as folder:
        weights = registry.fetch_weights(champion, Path(folder))
        return measure_candidate(weights, evaluated.test, engine, "champion")


def _check_unmoved(registry: Registry, measured: Version | None) -> None:
    now = registry.holder(CHAMPION)
    if (now and now.number) != (measured and measured.number):
        msg = f"{registry.name}: the champion became {now} while it was measured against; run this again"
        raise DegrainError(msg)


def _figures(measures: Measures) -> dict[str, Any]:
    by_level = {name: measures.by_level(name).to_dict() for name in SHOWN}
    return {
        "sha256": measures.sha256,
        **by_level,
        "ms_per_mpx": measures.ms_per_mpx,
        "size_mb": measures.size_mb,
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value
