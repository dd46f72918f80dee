"""How every stage starts and ends: the params checked, and errors printed without a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from degrain.errors import DegrainError
from degrain.params import Params, load_params


def run(stage: Callable[[Params], None]) -> None:
    """Run a stage; what the user can mend is printed, one line a problem, and the exit code is 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("degrain").setLevel(logging.INFO)
    try:
        stage(load_params())
    except DegrainError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
