"""What is gained by which adversarial loss, stabiliser and further term: see docs/adversarial.md.

    make study                    # what is missing of reports/adversarial/results.csv, then the figures
    make study ARGS=unattended    # the same of unattended.csv: ten seeds of three losses
    make study ARGS='--only hinge lsgan --seeds 1'
    make study ARGS='--minutes 0.2 --seeds 1 --out /tmp/short'

Rows that are there are kept; one is only done again if its settings have changed. A killed row goes on
from its checkpoint. Data, checkpoints and weights go to experiments/adversarial/work; images are fetched at
their first use (DEGRAIN_MIRROR names a folder that has them).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from pathlib import Path

from degrain.errors import DegrainError
from degrain.stages._alone import alone
from experiments.adversarial.arms import HERE, Plans, load_plans
from experiments.adversarial.report import report
from experiments.adversarial.results import Results
from experiments.adversarial.run import run

REPORTS, PAGE, WORK = Path("reports/adversarial"), Path("docs/adversarial.md"), HERE / "work"


def main(arguments: list[str] | None = None) -> None:
    """Do what is missing, then draw and write."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    changes = {name: value for name in ("seeds", "images") if (value := getattr(options, name)) is not None}
    if options.minutes is not None or options.steps is not None:
        changes |= {"minutes": options.minutes, "steps": options.steps}
    path = Path(options.study)
    plans = load_plans(path if path.suffix else HERE / f"{path}.yaml", changes)
    try:
        plans.study.check_names(tuple(options.only))
    except ValueError as error:
        raise DegrainError(str(error)) from None
    page = PAGE.absolute() if options.out == REPORTS else None
    study(plans, tuple(options.only), out=options.out.absolute(), page=page, work=WORK)


def study(plans: Plans, names: tuple[str, ...], *, out: Path, page: Path | None, work: Path) -> None:
    """Run the study in the folder `work`; its table and figures go to `out`, a summary into `page`."""
    work.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(work), alone("study"):
        results = Results(plans.study, out)
        run(plans, results, names)
        report(plans, results, page)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.adversarial",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "study", nargs="?", default="study", help="study, unattended, or a file like theirs (default: study)"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="ARM", help="these arms (default: all)")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many (default: as the study says)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="of training, each row")
    length.add_argument("--steps", type=int, metavar="N", help="of training, each row, whatever it takes")
    parser.add_argument("--images", type=int, metavar="N", help="of the test set to measure")
    parser.add_argument(
        "--out",
        type=Path,
        default=REPORTS,
        metavar="FOLDER",
        help=f"of the table and the figures (default: {REPORTS}; only with that is {PAGE} written, too)",
    )
    return parser


if __name__ == "__main__":
    try:
        main()
    except DegrainError as error:
        sys.exit(f"study: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
