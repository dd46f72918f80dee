"""Delivery to one MLflow run: in order, and patient with a store that is away."""

from __future__ import annotations

import logging
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from degrain.tracking.store import Store, require_answer, without_login

if TYPE_CHECKING:
    from mlflow import MlflowClient

RETRY_AFTER_S = 60.0

logger = logging.getLogger(__name__)


class Monitor(Protocol):
    """Something that logs on its own, in a thread, while the run goes on."""

    def start(self) -> None:
        """Begin."""
        ...

    def finish(self) -> None:
        """End, and log what is left."""
        ...


class Unwatched:
    """No monitor, where nothing is computed."""

    def start(self) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Session:
    """A run that exists in the store.

    Attributes
    ----------
    monitor : of processor, memory, disk and network.
    known_steps : the steps of every metric that a continued run has.
    pictures : (name, step) of the pictures that a continued run has.
    """

    store: Store
    run_id: str
    monitor: Monitor
    known_steps: dict[str, frozenset[int]] = field(default_factory=dict)
    pictures: frozenset[tuple[str, int]] = frozenset()

    @property
    def client(self) -> MlflowClient:
        """What everything is sent with."""
        return self.store.client

    def end(self, status: str, time_ms: int | None = None) -> None:
        """Stop the monitor and close the run, unless it has finished."""
        self.monitor.finish()
        if self.client.get_run(self.run_id).info.status != "FINISHED":
            self.client.set_terminated(self.run_id, status, time_ms)


class Delivery(Protocol):
    """Something to send."""

    def deliver(self, session: Session) -> object:
        """Send it."""
        ...


Keep = Callable[[Sequence[Delivery], str | None], None]


class Outbox:
    """Deliveries to one run, in the order they were put in.

    The first failure warns; from then on deliveries wait and are tried again every minute, and what
    waits at the end is kept. What the store refuses outright is dropped with a warning of its own.
    Nothing is ever raised.

    Parameters
    ----------
    uri : of the store.
    open_session : creates or continues the run; called when something is first sent.
    keep : is handed what could not be sent, and the id of the run, if it has begun.
    """

    def __init__(self, uri: str, open_session: Callable[[], Session], keep: Keep) -> None:
        self._uri, self._open_session, self._keep = uri, open_session, keep
        self._session: Session | None = None
        self._waiting: deque[Delivery] = deque()
        self._not_before_s = 0.0
        self._has_warned = False

    def put(self, delivery: Delivery, *, is_last: bool = False) -> None:
        """Queue a delivery and send all that waits.

        Parameters
        ----------
        is_last : send even if the store was away a moment ago, and keep what cannot be sent.
        """
        self._waiting.append(delivery)
        if not is_last and time.monotonic() < self._not_before_s:
            return
        try:
            require_answer(self._uri)
            with quiet():
                self._send(insist=not is_last)
        except Exception as error:  # a view of the training must not stop it, whatever goes wrong
            self._not_before_s = time.monotonic() + RETRY_AFTER_S
            self._warn_once(error)
            if is_last and not is_refusal(error):
                self._keep_waiting()

    def _send(self, *, insist: bool) -> None:
        self._session = self._session or self._open_session()
        while self._waiting:
            try:
                self._waiting[0].deliver(self._session)
            except Exception as error:
                if may_pass(error) or (insist and not is_refusal(error)):
                    raise
                require_answer(self._uri)
                logger.warning("MLflow did not take an entry of run %s: %s", self._session.run_id, error)
            self._waiting.popleft()

    def _keep_waiting(self) -> None:
        try:
            self._keep(self._waiting, self._session.run_id if self._session else None)
        except OSError as error:
            logger.warning("what MLflow did not get cannot be kept: %s", error)

    def _warn_once(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "MLflow at %s cannot be used: %s. Going on without it and trying again every %.0f s; "
                "the results are written to files all the same. What cannot be sent by the end is kept for "
                "`degrain sync`. MLFLOW_TRACKING_URI names another store.",
                without_login(self._uri),
                error,
                RETRY_AFTER_S,
            )


def is_refusal(error: Exception) -> bool:
    """Whether trying again is pointless."""
    status = _status(error)
    if status is not None:
        return 400 <= status < 500 and not may_pass(error)
    return not isinstance(error, OSError) or isinstance(error, FileNotFoundError)


def may_pass(error: Exception) -> bool:
    """Whether the store would take the same from somebody logged in, allowed to, or less in a hurry."""
    return _status(error) in (401, 403, 429)


def _status(error: Exception) -> int | None:
    """What HTTP calls it; None for what does not come from MLflow."""
    from mlflow.exceptions import MlflowException

    return int(error.get_http_status_code()) if isinstance(error, MlflowException) else None  # type: ignore[no-untyped-call]


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what MLflow's own code is warned of, which its users cannot change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"mlflow\.")
        yield
