"""How every stage starts and ends: the params checked, and errors printed without a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from degrain.errors import DegrainError
from degrain.params import Params, load_params
from degrain.stages._alone import alone

Kind = TypeVar("Kind")


def run(stage: Callable[[Params], None]) -> None:
    """Run a stage; what the user can mend is printed, one line a problem, and the exit code is 1."""
    run_on(load_params, stage)


def run_on(load: Callable[[], Kind], stage: Callable[[Kind], None]) -> None:
    """The same on params that `load` reads."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("degrain").setLevel(logging.INFO)
    try:
        params = load()
        with alone(Path(sys.argv[0]).stem):
            stage(params)
    except DegrainError as error:
        sys.exit(str(error))
    except FileNotFoundError as error:
        sys.exit(f"{error.filename}: not found; `dvc repro` runs the stages before this one, which make it")
    except KeyboardInterrupt:
        sys.exit(130)
