"""The HTTP server: endpoints, limits, and how every request ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from degrain.serving.counters import Counters
from degrain.serving.keeper import Keeper
from degrain.serving.limits import Limits, Refusal
from degrain.serving.orders import image_from_answer, order_from_image, order_from_json

MODEL_HEADER = "X-Degrain-Model"

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Reads a body as what the scoring server takes.
ReadOrder = Callable[[bytes], bytes]


class Front:
    """What answers requests.

    Attributes
    ----------
    closing : whether no new request is taken.
    """

    def __init__(self, limits: Limits, keeper: Keeper, counters: Counters) -> None:
        self.limits, self.keeper, self.counters = limits, keeper, counters
        self.closing = False
        self._in_house = 0
        self._slots = asyncio.Semaphore(limits.concurrent)

    def app(self) -> web.Application:
        """The endpoints."""
        app = web.Application(client_max_size=self.limits.body_bytes, middlewares=[self._end_well])
        app.add_routes(
            [
                web.post("/denoise", self.denoise),
                web.post("/invocations", self.invocations),
                web.get("/health", self.health),
                web.get("/ping", self.health),  # MLflow's name for it
                web.get("/ready", self.ready),
                web.get("/metrics", self.metrics),
            ]
        )
        return app

    async def denoise(self, request: web.Request) -> web.Response:
        """An image file in, with params in the address; the image out."""
        if request.content_type.partition("/")[0] != "image" and "octet-stream" not in request.content_type:
            msg = (
                f"Content-Type: {request.content_type}; expected image/png, image/jpeg, image/tiff or "
                "image/webp and the file as the body: curl --data-binary @x.png -H 'Content-Type: image/png'"
            )
            raise Refusal(415, msg)
        query = dict(request.query)
        answer, model = await self._restore(request, lambda body: order_from_image(body, query, self.limits))
        image, kind = await asyncio.to_thread(image_from_answer, answer)
        return web.Response(body=image, content_type=kind, headers={MODEL_HEADER: model})

    async def invocations(self, request: web.Request) -> web.Response:
        """MLflow's: base64 strings in JSON in, the same out."""
        if request.content_type != "application/json":
            msg = f"Content-Type: {request.content_type}; expected application/json"
            raise Refusal(415, msg)
        answer, model = await self._restore(request, lambda body: order_from_json(body, self.limits))
        return web.Response(body=answer, content_type="application/json", headers={MODEL_HEADER: model})

    async def health(self, _: web.Request) -> web.Response:
        """That the server is there."""
        return web.json_response({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """Whether a model serves, and which."""
        if self.closing or not self.keeper.serves:
            raise Refusal(503, "closing" if self.closing else "no model serves yet")
        return web.json_response({"status": "ok", "model": self.keeper.serves})

    async def metrics(self, _: web.Request) -> web.Response:
        """For Prometheus."""
        self.counters.model.clear()
        if self.keeper.serves:
            self.counters.model.labels(self.keeper.serves).set(1)
        text = generate_latest(self.counters.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _restore(self, request: web.Request, read: ReadOrder) -> tuple[bytes, str]:
        """From a request that may come in to the scorer's answer, in the time that it has."""
        stage = "sent"
        try:
            async with self._admitted(), asyncio.timeout(self.limits.timeout_s):
                body = await self._body(request)
                stage = "answered"
                return await self._in_turn(body, read)
        except TimeoutError as error:
            msg = f"the request was not {stage} within {self.limits.timeout_s:g} s"
            raise Refusal(408 if stage == "sent" else 504, msg) from error

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        """Before the body is read, so that what waits has a bound."""
        limits = self.limits
        if self._in_house >= limits.concurrent + limits.queue:
            msg = f"{limits.concurrent} requests are worked on and {limits.queue} wait; try again"
            raise Refusal(503, msg)
        self._in_house += 1
        self.counters.in_house.set(self._in_house)
        try:
            yield
        finally:
            self._in_house -= 1
            self.counters.in_house.set(self._in_house)

    async def _body(self, request: web.Request) -> bytes:
        too_large = f"the body is larger than {self.limits.body_mb:g} MB"
        if (request.content_length or 0) > self.limits.body_bytes:
            raise Refusal(413, too_large)
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise Refusal(413, too_large) from error
        except (web.RequestPayloadError, ConnectionError) as error:
            msg = f"the body is cut off or not in its Content-Encoding ({error})"
            raise Refusal(400, msg) from error

    async def _in_turn(self, body: bytes, read: ReadOrder) -> tuple[bytes, str]:
        """When there is room. A request that runs out of time keeps its place until the scorer is done."""
        await self._slots.acquire()
        work = asyncio.create_task(self._work(body, read))
        work.add_done_callback(self._leave)
        return await asyncio.shield(work)

    async def _work(self, body: bytes, read: ReadOrder) -> tuple[bytes, str]:
        with self.counters.working.track_inprogress():
            return await self.keeper.ask(await asyncio.to_thread(read, body))

    def _leave(self, work: asyncio.Task[tuple[bytes, str]]) -> None:
        self._slots.release()
        if not work.cancelled():
            work.exception()  # nobody may be left to ask for it

    @web.middleware
    async def _end_well(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every answer counted, every error in JSON."""
        started = time.monotonic()
        response = await self._answer(request, handler)
        known = request.match_info.http_exception is None
        endpoint = request.path if known else "other"
        self.counters.requests.labels(endpoint, str(response.status)).inc()
        self.counters.seconds.labels(endpoint).observe(time.monotonic() - started)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as error:
            refusal = error
        except web.HTTPException as error:
            expected = "POST /denoise, POST /invocations, GET /health, GET /ready, GET /metrics"
            refusal = Refusal(error.status, f"{request.method} {request.path}: {error.reason}; {expected}")
            refusal_headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
            return web.json_response(refusal.body, status=refusal.status, headers=refusal_headers)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            refusal = Refusal(500, "the server failed at this request; its log says more")
        return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)
