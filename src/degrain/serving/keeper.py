"""Always a working scorer, of the version that the alias names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Coroutine, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from degrain.serving.counters import Counters
from degrain.serving.limits import Refusal
from degrain.serving.scorer import Scorer, ScorerGoneError, Version
from degrain.tracking.served import fetch_model, find_version

ATTEMPTS = 2  # a request is sent to so many scorers that end under it: it may be what ends them
# Between attempts at a version that does not start: the first, doubled each time, and the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0

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
        self._not_before: dict[str, float] = {}
        self._pause_s: dict[str, float] = {}
        self._complaint = ""
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
            while (scorer := self._scorer) is None:
                await self._ready.wait()
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
                pause_s = self._reload_s if self._scorer else min(self._reload_s, FIRST_PAUSE_S)
                await asyncio.wait_for(self._wake.wait(), pause_s)
            self._wake.clear()
            await self._follow()

    async def close(self) -> None:
        """End every process and remove what was fetched."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        if self._scorer:
            await self._scorer.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _follow(self) -> None:
        """Start a scorer where there is none, then look at the alias."""
        newest = self._newest
        assert newest is not None
        if not self._scorer:
            await self._attempt(newest.uri, newest)
        uri = await self._named(newest.uri)
        if uri != newest.uri and time.monotonic() >= self._not_before.get(uri, 0.0):
            await self._attempt(uri)

    async def _named(self, serves: str) -> str:
        """What the alias names now; what serves, where nobody knows."""
        try:
            uri, complaint = await asyncio.to_thread(find_version, self._uri), ""
        except Exception as error:  # whatever is wrong with the registry, we can do without
            uri, complaint = serves, str(error)
        if complaint and complaint != self._complaint:  # once
            logger.warning("%s; %s goes on", complaint, serves)
        self._complaint = complaint
        return uri

    async def _attempt(self, uri: str, version: Version | None = None) -> None:
        """Serve a version, if it can be had and starts."""
        try:
            version = version or await self._fetch(uri)
            await self._serve(version)
        except Exception as error:  # whatever is wrong with it, what serves goes on
            self._postpone(uri, error)
            if version:
                self._remove(version)

    def _postpone(self, uri: str, error: Exception) -> None:
        """Try again later, and later each time."""
        pause_s = self._pause_s.get(uri, FIRST_PAUSE_S)
        self._not_before[uri] = time.monotonic() + pause_s
        self._pause_s[uri] = min(2 * pause_s, LONGEST_PAUSE_S)
        self._counters.failed_starts.inc()
        logger.error("%s; the next attempt in %.0f s", error, pause_s)

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
            self._run(self._retire(old))

    async def _retire(self, scorer: Scorer) -> None:
        await scorer.retire(2 * self._timeout_s)
        self._remove(scorer.version)

    def _remove(self, version: Version) -> None:
        if version is not self._newest:
            shutil.rmtree(version.folder, ignore_errors=True)

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
