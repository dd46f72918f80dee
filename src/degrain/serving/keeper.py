"""Always a working scorer, of the version that the alias names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
from collections.abc import Coroutine, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from degrain.serving.counters import Counters
from degrain.serving.limits import Refusal
from degrain.serving.scorer import Scorer, ScorerGoneError, Version
from degrain.tracking.served import fetch_model, find_version

ATTEMPTS = 3  # a request is sent to so many scorers that end under it: it may be what ends them
RETRY_START_S = 5.0  # after a version that does not start

logger = logging.getLogger(__name__)


class Keeper:
    """Asks the scorer, and starts a new one where the alias moves or the old one ends.

    A new version serves only after it has restored an image; until then, and where it cannot, the old
    one goes on. What the old one works on is finished by it.

    Parameters
    ----------
    uri : of the model, as MLflow takes it.
    reload_s : between looks at the alias.
    timeout_s : of a request. A scorer that takes twice as long is replaced.
    variables : of the scorers' environment.
    """

    def __init__(
        self, uri: str, reload_s: float, timeout_s: float, variables: Mapping[str, str], counters: Counters
    ) -> None:
        self._uri, self._reload_s, self._timeout_s = uri, reload_s, timeout_s
        self._variables, self._counters = variables, counters
        self._folder = Path(tempfile.mkdtemp(prefix="degrain-"))
        self._numbers = count()
        self._scorer: Scorer | None = None
        self._newest: Version | None = None
        self._ready, self._wake = asyncio.Event(), asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    @property
    def serves(self) -> str | None:
        """URI of the version that serves; None while there is none."""
        return self._scorer.version.uri if self._scorer else None

    async def ask(self, order: bytes) -> tuple[bytes, str]:
        """Have images restored, by another scorer where one ends; gives the answer and who gave it.

        Raises
        ------
        Refusal : as `Scorer.ask`, or 504 where it takes too long, or 500 where scorers ended.
        """
        for _ in range(ATTEMPTS):
            await self._ready.wait()
            scorer = self._scorer
            assert scorer is not None
            try:
                return await scorer.ask(order, 2 * self._timeout_s), scorer.version.uri
            except ScorerGoneError:
                self._discard(scorer, "ended")
            except TimeoutError as error:
                self._discard(scorer, f"took more than {2 * self._timeout_s:g} s")
                msg = f"not done in {2 * self._timeout_s:g} s"
                raise Refusal(504, msg) from error
        msg = f"{ATTEMPTS} processes of the model ended while they worked on this request"
        raise Refusal(500, msg)

    async def keep(self) -> None:
        """Go on until cancelled.

        Raises
        ------
        DegrainError, OSError : there is no such model, or the first scorer does not start.
        """
        await self._serve(await self._fetch(await asyncio.to_thread(find_version, self._uri)))
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._reload_s)
            self._wake.clear()
            try:
                await self._follow()
            except Exception as error:  # the old version goes on, or the next attempt works
                logger.error("%s; trying again", error)
                self._counters.failed_starts.inc()
                await asyncio.sleep(RETRY_START_S)
                if not self._scorer:
                    self._wake.set()

    async def close(self) -> None:
        """End every process and remove what was fetched."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._scorer:
            await self._scorer.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _follow(self) -> None:
        """Serve what the alias names now, where that is not what serves."""
        version = self._newest
        assert version is not None
        try:
            uri = await asyncio.to_thread(find_version, self._uri)
            if uri != version.uri:
                version = await self._fetch(uri)
        finally:
            # The store may be away: that must not keep a scorer that ended from coming back.
            if version is not self._newest or not self._scorer:
                await self._serve(version)

    async def _fetch(self, uri: str) -> Version:
        folder = self._folder / f"model-{next(self._numbers)}"
        return Version(uri, await asyncio.to_thread(fetch_model, uri, folder))

    async def _serve(self, version: Version) -> None:
        """Start a scorer, then send all new requests to it."""
        path = self._folder / f"scorer-{next(self._numbers)}"
        fresh = await Scorer.start(version, path, self._variables)
        old, self._scorer, self._newest = self._scorer, fresh, version
        self._ready.set()
        self._counters.starts.inc()
        logger.info("%s serves", version.uri)
        self._run(self._notice_end(fresh))
        if old:
            self._run(old.retire(2 * self._timeout_s))

    async def _notice_end(self, scorer: Scorer) -> None:
        await scorer.process.wait()
        self._discard(scorer, "ended")

    def _discard(self, scorer: Scorer, reason: str) -> None:
        """Have another one started; once for each."""
        if scorer is self._scorer:
            logger.error("the process that runs %s %s; starting another", scorer.version.uri, reason)
            self._scorer = None
            self._ready.clear()
            self._wake.set()
            self._run(scorer.stop())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
