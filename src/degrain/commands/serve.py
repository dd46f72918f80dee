"""`degrain serve`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from collections.abc import Callable

from degrain.commands.arguments import Commands, count
from degrain.errors import DegrainError


def _positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        msg = f"{text!r}; expected a number above 0"
        raise argparse.ArgumentTypeError(msg)
    return value


def _natural(text: str) -> int:
    """A whole number of at least 0."""
    return 0 if text == "0" else count(text)


# Name, kind, default, meaning.
NUMBERS: tuple[tuple[str, Callable[[str], float], float, str], ...] = (
    ("--port", _natural, 8080, "0 takes a free one"),
    ("--body-mb", _positive, 64, "largest body of a request, in 10^6 bytes"),
    ("--megapixels", _positive, 50, "most pixels in a request, by the headers of its images"),
    ("--timeout", _positive, 120, "seconds from the first byte of a request to its answer"),
    ("--concurrent", count, 2, "requests that are worked on at once"),
    ("--queue", _natural, 32, "requests that may wait besides; more are told to come back"),
    ("--reload", _positive, 15, "seconds between looks at the alias"),
)


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("serve", help="answer requests over HTTP", description=_run.__doc__)
    parser.add_argument(
        "--model",
        default="models:/degrain-rgb@champion",
        metavar="URI",
        help="of MLflow (default: %(default)s); where an alias moves, the server follows",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen at (default: %(default)s; 0.0.0.0 for all)"
    )
    for name, kind, default, meaning in NUMBERS:
        parser.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{meaning} (default: {default})"
        )
    parser.add_argument(
        "--threads",
        type=count,
        default=None,
        metavar="N",
        help="processor threads of each request (default: a fair share of the cores)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Answer POST /denoise (an image file) and POST /invocations (MLflow's JSON) until SIGTERM or Ctrl-C."""
    try:
        from degrain.serving.run import Options, serve
    except ImportError as error:
        msg = f"{error.name} is not installed; pip install 'degrain[serve]'"
        raise DegrainError(msg) from error
    from degrain.serving.limits import Limits

    logging.basicConfig(level=logging.INFO, format="degrain: %(message)s")
    # We log what fails; this one adds a traceback for whatever is not HTTP.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    limits = Limits(options.body_mb, options.megapixels, options.timeout, options.concurrent, options.queue)
    # Not by degrain.compute: PyTorch would take a quarter of a gigabyte here, too.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = options.threads or max(1, cores // limits.concurrent)
    chosen = Options(options.model, options.host, options.port, threads, options.reload, limits)
    asyncio.run(serve(chosen, lambda address: print(f"serving {options.model} at {address}", flush=True)))
    return 0
