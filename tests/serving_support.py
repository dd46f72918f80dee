"""Running servers for tests: `degrain serve` as a process of its own, and models to serve."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import requests

from mlflow_support import opened_by_two_at_once
from support import ROOT

START_TIMEOUT_S = 180  # many seconds where the machine is busy
SERVE = "import sys; from degrain.cli import main; sys.exit(main(['serve', *sys.argv[1:]]))"


class Server:
    """A running `degrain serve`."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, "--port", "0", *arguments],
                cwd=folder,
                env=clean | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(folder)} | variables,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().rpartition(" ")[2]

    def wait_until_ready(self, model: str | None = None) -> None:
        """Until a model serves, or this one."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            answer = requests.get(f"{self.address}/ready", timeout=10)
            if answer.status_code == 200 and model in (None, answer.json()["model"]):
                return
            time.sleep(0.1)
        pytest.fail(f"the server is not ready:\n{self.log.read_text()}")

    def scorers(self) -> list[psutil.Process]:
        """Its processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def metric(self, name: str) -> float:
        """A metric that has no labels."""
        text = requests.get(f"{self.address}/metrics", timeout=10).text
        [value] = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(value)

    def wait_for_metric(self, name: str, value: float) -> None:
        """Until a metric has a value."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.metric(name) != value:
            assert time.monotonic() < deadline, f"{name} is {self.metric(name)}; expected {value}"
            time.sleep(0.02)

    def end(self) -> int:
        """Tell it to end and wait; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def together(self, count: int, send: Callable[[aiohttp.ClientSession, int], Awaitable[Any]]) -> list[Any]:
        """So many requests at once, each on a connection of its own."""

        async def run() -> list[Any]:
            timeout = aiohttp.ClientTimeout(total=START_TIMEOUT_S)
            async with aiohttp.ClientSession(
                self.address, connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=timeout
            ) as session:
                return await asyncio.gather(*(send(session, number) for number in range(count)))

        return asyncio.run(run())


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """A server, killed at the end if it has not ended."""
    server = Server(folder, *arguments, **variables)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


class Registry:
    """A store of MLflow with models of `degrain-rgb`, by its client alone."""

    def __init__(self, folder: Path) -> None:
        from degrain.tracking.store import open_store

        (folder / "mlflow.db").write_bytes(opened_by_two_at_once()[0])
        self.store = open_store(f"sqlite:///{folder / 'mlflow.db'}", "degrain")
        self.client = self.store.client
        self.client.create_registered_model("degrain-rgb")

    def add(self, weights: Path, faithful: Path | None = None) -> str:
        """Log a generator and make it a version."""
        from degrain.tracking.generator import deliver_generator
        from degrain.tracking.session import Session

        run = self.client.create_run(self.store.experiment_id).info.run_id
        deliver_generator(Session(self.store, run, None), "service", weights, faithful)  # type: ignore[arg-type]
        [model] = self.client.search_logged_models(
            [self.store.experiment_id], filter_string=f"source_run_id = '{run}'"
        )
        version = self.client.create_model_version(
            "degrain-rgb", f"models:/{model.model_id}", run, model_id=model.model_id
        )
        return str(version.version)

    def crown(self, version: str) -> None:
        """Move the alias."""
        self.client.set_registered_model_alias("degrain-rgb", "champion", version)
