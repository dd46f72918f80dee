"""Which version is in use: moves of the aliases, and their history in reports/promotions.csv."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from degrain.errors import DegrainError
from degrain.files import read_rows, write_rows
from degrain.tracking.registry import CHAMPION, PREVIOUS, Move, Registry, Version

HISTORY = Path("reports/promotions.csv")
COLUMNS = (
    "time",
    "action",
    "model",
    "version",
    "champion_before",
    "psnr_gain_db",
    "failed",
    "model_sha256",
    "test_sha256",
    "git_commit",
)
ROLLED_BACK = "rolled back"


def history_row(action: str, model: str, **values: str) -> dict[str, str]:
    """A row of the history, of now; what is not given is empty."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return dict.fromkeys(COLUMNS, "") | {"time": now, "action": action, "model": model, **values}


def remember(row: Mapping[str, str]) -> None:
    """Add a row to the history, unless it is there."""
    rows = read_rows(HISTORY) if HISTORY.exists() else []
    if dict(row) not in rows:
        write_rows(HISTORY, COLUMNS, [*rows, row])


def move(registry: Registry, champion: Version, previous: Version | None, row: dict[str, str]) -> None:
    """Make a version the champion and another the previous one, and remember it: all of it or, after a
    crash, the rest at the next `settle`.
    """
    wanted = {PREVIOUS: previous, CHAMPION: champion}
    aliases = {alias: version.number for alias, version in wanted.items() if version}
    registry.begin_move(Move(aliases, row))
    settle(registry)


def settle(registry: Registry) -> dict[str, str] | None:
    """Finish a move that has begun; returns its row of the history, None if there was none."""
    pending = registry.pending_move()
    if pending is None:
        return None
    registry.carry_out(pending)
    remember(pending.note)
    registry.finish_move()
    return pending.note


def roll_back(registry: Registry) -> tuple[Version, Version]:
    """Swap champion and previous; returns the champion there is now and the one before.

    After a crash it is finished, not done again.

    Raises
    ------
    DegrainError : there are no two versions to swap.
    """
    unfinished = settle(registry)
    champion, previous = (registry.holder(alias) for alias in (CHAMPION, PREVIOUS))
    if not champion or not previous:
        have = f"{champion} is the only champion so far" if champion else "no champion"
        msg = f"{registry.name}: {have}; expected a previous one too: `degrain promote` makes champions"
        raise DegrainError(msg)
    if unfinished and unfinished["action"] == ROLLED_BACK:
        return champion, previous
    row = history_row(ROLLED_BACK, registry.name, version=previous.number, champion_before=champion.number)
    move(registry, previous, champion, row | {"model_sha256": previous.sha256})
    return previous, champion
