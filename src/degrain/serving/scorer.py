"""One scorer: a process that runs one version of the model, and how it is asked."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np

from degrain.codecs.png import encode_png
from degrain.errors import DegrainError
from degrain.serving.limits import Refusal

SCRIPT = Path(__file__).with_name("scoring.py")
START_TIMEOUT_S = 300.0  # to import PyTorch from a cold disk and load a model
OUR_ERROR = "\nError: "  # what MLflow puts before the message of an error that the model raised

logger = logging.getLogger(__name__)


class ScorerGoneError(Exception):
    """The process ended, or it does not answer."""


@dataclass(frozen=True)
class Version:
    """A model that does not change.

    Attributes
    ----------
    uri : of MLflow, like models:/degrain-rgb/3.
    folder : where it was fetched to.
    """

    uri: str
    folder: Path


class Scorer:
    """A process that runs one version of the model; `start` makes one.

    Attributes
    ----------
    busy : requests that it is working on.
    """

    def __init__(self, version: Version, process: asyncio.subprocess.Process, path: Path) -> None:
        self.version, self.process, self.busy = version, process, 0
        self._idle = asyncio.Event()
        # Each request on a connection of its own: none is lost on one that the other side just closed.
        connector = aiohttp.UnixConnector(str(path), force_close=True, limit=0)
        self._session = aiohttp.ClientSession(connector=connector)

    @classmethod
    async def start(cls, version: Version, path: Path, variables: Mapping[str, str]) -> Scorer:
        """Start a process and wait until it has restored an image.

        Parameters
        ----------
        path : of its socket.
        variables : of the environment, besides our own.

        Raises
        ------
        DegrainError : it did not; what it says is on standard error.
        """
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen(1024)
            # A session of its own: Ctrl-C is for us, who let it finish.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", str(SCRIPT), str(version.folder), str(listening.fileno())),
                stdin=asyncio.subprocess.PIPE,
                stdout=sys.stderr,
                env=os.environ | dict(variables),
                pass_fds=[listening.fileno()],
                start_new_session=True,
            )
        scorer = cls(version, process, path)
        try:
            await scorer.ask(_tiny_order(), START_TIMEOUT_S)
        except (ScorerGoneError, Refusal) as error:
            await scorer.stop()
            msg = (
                f"{version.uri}: expected a model that restores image files sent as base64 (a training "
                f"logs it as `service`); {error}"
            )
            raise DegrainError(msg) from error
        except BaseException:
            await scorer.stop()
            raise
        return scorer

    async def ask(self, order: bytes, timeout_s: float) -> bytes:
        """Have images restored; gives MLflow's answer.

        Raises
        ------
        Refusal : the model does not take the images, or failed at them.
        ScorerGoneError : there is no answer.
        TimeoutError : there is none yet.
        """
        self.busy += 1
        try:
            sent = self._session.post(
                "http://scorer/invocations",
                data=order,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            )
            async with sent as response:
                answer = await response.read()
        except aiohttp.ClientError as error:
            msg = f"the process that runs it is gone ({error})"
            raise ScorerGoneError(msg) from error
        finally:
            self.busy -= 1
            if not self.busy:
                self._idle.set()
        if response.status != 200:
            raise _refusal(response.status, answer)
        return answer

    async def retire(self, timeout_s: float) -> None:
        """Let it finish what it works on, then stop it."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.busy:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            logger.warning("a process of %s took too long to finish", self.version.uri)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._session.close()


def _tiny_order() -> bytes:
    """A request for an image that is restored in no time."""
    image = encode_png(np.arange(64, dtype=np.uint8).reshape(8, 8, 1))
    return json.dumps({"inputs": [base64.b64encode(image).decode("ascii")]}).encode()


def _refusal(status: int, answer: bytes) -> Refusal:
    """What MLflow says, less the traceback. Of a failure in the model it says that it was a bad request."""
    try:
        error = json.loads(answer)
        message, trace = str(error["message"]), error.get("stack_trace")
    except (ValueError, KeyError, TypeError):
        message, trace = "", answer.decode(errors="replace")
    if status == 400 and OUR_ERROR in message:
        return Refusal(400, message.partition(OUR_ERROR)[2])
    logger.error("the model failed with %d: %s\n%s", status, message, trace)
    return Refusal(500, "the model failed at this request; the server's log says more")
