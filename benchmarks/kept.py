"""What the benchmarks of the released generators share: a report that keeps the rows of the same weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from degrain.compute import Engine, available_threads, start_engine
from degrain.features import Backbone, load_backbone
from degrain.files import write_csv
from degrain.params import Compute

Measure = Callable[[str, Engine, Backbone], Iterator[dict[str, object]]]


def known_rows(report: Path, name: str, weights: dict[str, str], columns: Iterable[str] = ()) -> pd.DataFrame:
    """The rows of a set, if they are of the same weights and have all columns; else none."""
    rows = pd.read_csv(report) if report.exists() else pd.DataFrame()
    if not {"set", *columns, *weights} <= set(rows.columns):
        return rows.iloc[:0]
    return rows[(rows["set"] == name) & (rows[list(weights)] == pd.Series(weights)).all(axis=1)]


def measured(
    description: str | None,
    names: Iterable[str],
    known: Callable[[str], pd.DataFrame],
    measure: Measure,
    report: Path,
) -> tuple[pd.DataFrame, Engine]:
    """Read the command line, measure what is not known, write the report."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="measure anew what is known")
    parser.add_argument("--threads", type=int, default=available_threads())
    options = parser.parse_args()
    engine = start_engine(Compute(device="auto", precision="auto", threads=options.threads))
    judge = load_backbone("judge")
    tables = []
    for name in names:
        found = known(name)
        if options.all or found.empty:
            found = pd.DataFrame(measure(name, engine, judge)).round(4)
        tables.append(found)
    rows = pd.concat(tables)
    write_csv(report, rows)
    return rows, engine
