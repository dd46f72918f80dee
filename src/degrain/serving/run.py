"""A server from its start to its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from degrain.serving.counters import Counters
from degrain.serving.front import Front
from degrain.serving.keeper import Keeper
from degrain.serving.limits import Limits


@dataclass(frozen=True)
class Options:
    """What is served, and where.

    Attributes
    ----------
    model : URI as MLflow takes it.
    port : 0 takes a free one.
    threads : of the processor, for each request that is worked on.
    reload_s : between looks at the alias.
    """

    model: str
    host: str
    port: int
    threads: int
    reload_s: float
    limits: Limits


async def serve(options: Options, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what has come in.

    Parameters
    ----------
    tell : is told the address once it is open, before the model is loaded.

    Raises
    ------
    DegrainError, OSError : the model cannot be served, or the port is taken.
    """
    counters, limits = Counters(), options.limits
    variables = {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT": str(int(4 * limits.timeout_s) + 1),  # ours comes first
        "OMP_NUM_THREADS": str(options.threads),
    }
    keeper = Keeper(options.model, options.reload_s, limits.timeout_s, variables, counters)
    front = Front(limits, keeper, counters)
    runner = web.AppRunner(
        front.app(), handle_signals=False, access_log=None, shutdown_timeout=limits.timeout_s
    )
    keeping = asyncio.create_task(keeper.keep())
    try:
        await runner.setup()
        site = web.TCPSite(runner, options.host, options.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        tell(f"http://{host}:{port}")
        await _until_told_to_end(keeping)
        front.closing = True
        await runner.cleanup()  # takes nothing new, finishes the rest
    finally:
        await runner.cleanup()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await keeper.close()


async def _until_told_to_end(keeping: asyncio.Task[None]) -> None:
    """Wait for the first signal; the second one ends the program as it always would."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, told.set)
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({waiting, keeping}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for number in signals:
        loop.remove_signal_handler(number)
    if keeping.done():
        keeping.result()  # raises what kept the model from being served
