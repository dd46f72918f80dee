"""Downloads from a real HTTP server that misbehaves, and files of a mirror's folder."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from degrain.data.fetch import Patience, cache_folder, fetch, find_mirror
from degrain.data.registry import RegisteredFile, files_by_path
from degrain.errors import DataError
from degrain.files import sha256_file
from support import ROOT

QUICK = Patience(connections=4, timeout_s=0.5, attempts=3, first_wait_s=0.01)
REAL_MIRROR = Path(os.environ.get("DEGRAIN_MIRROR", "/no/mirror"))


def contents(number):
    return np.random.default_rng(number).bytes(100_000 + 1000 * number)


def registered_file(number):
    data = contents(number)
    return RegisteredFile("bsd68", f"test{number:03d}.png", len(data), hashlib.sha256(data).hexdigest())


class Server(ThreadingHTTPServer):
    """Serves files by their registered paths; `faults` says how the next answers for a file go wrong."""

    daemon_threads = True

    def __init__(self, count):
        super().__init__(("127.0.0.1", 0), Handler)
        self.data = {registered_file(number).path: contents(number) for number in range(count)}
        self.faults = {}
        self.requests = Counter()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.slow_s = 0.0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def break_next(self, number, *faults):
        self.faults[registered_file(number).path] = list(faults)

    def handle_error(self, request, client_address):
        """Nothing: clients hang up in these tests."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        """Nothing."""

    def do_GET(self):
        server, path = self.server, self.path.lstrip("/")
        with server.lock:
            server.requests[path] += 1
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            fault = server.faults[path].pop(0) if server.faults.get(path) else None
        try:
            time.sleep(server.slow_s)
            self.answer(server.data.get(path), fault)
        finally:
            with server.lock:
                server.at_once -= 1

    def answer(self, data, fault):
        if data is None or isinstance(fault, int):
            self.send_error(404 if data is None else fault)
            return
        body = data[: len(data) // 2]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if fault == "wrong":
            self.wfile.write(bytes(len(data)))
            return
        self.wfile.write(body)
        if fault == "stall":
            time.sleep(3 * QUICK.timeout_s)
        elif fault == "reset":
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault != "truncated":
            self.wfile.write(data[len(body) :])
        self.close_connection = True


@pytest.fixture
def server():
    with Server(6) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server, folder, *numbers, patience=QUICK):
    return fetch(map(registered_file, numbers), mirror=server.url, cache=folder, patience=patience)


def kept(folder):
    """Every file below the folder, hidden and partial ones too."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_files_come_as_they_are_served_and_only_once(server, tmp_path):
    found = get(server, tmp_path, *range(6), 0)
    for number in range(6):
        assert found[registered_file(number).path].read_bytes() == contents(number)
    assert get(server, tmp_path, *range(6)) == found
    assert set(server.requests.values()) == {1}
    assert kept(tmp_path) == [f"test{number:03d}.png" for number in range(6)]


@pytest.mark.parametrize("connections", [1, 3, 8])
def test_any_number_of_connections_gives_the_same_files(server, tmp_path, connections):
    server.slow_s = 0.2
    found = get(server, tmp_path, *range(6), patience=Patience(connections, 1, 1, 0))
    assert [sha256_file(found[registered_file(n).path]) for n in range(6)] == [
        registered_file(n).sha256 for n in range(6)
    ]
    assert min(connections, 2) <= server.most_at_once <= connections


@pytest.mark.parametrize("fault", [500, 503, 429, 408, "truncated", "stall", "reset"])
def test_what_passes_is_tried_again(server, tmp_path, fault):
    server.break_next(1, fault, fault)
    found = get(server, tmp_path, 0, 1)
    assert found[registered_file(1).path].read_bytes() == contents(1)
    assert server.requests == {registered_file(0).path: 1, registered_file(1).path: 3}
    assert kept(tmp_path) == ["test000.png", "test001.png"]


@pytest.mark.parametrize("fault", [500, "truncated", "stall", "reset"])
def test_what_does_not_pass_is_an_error_that_names_the_address(server, tmp_path, fault):
    server.break_next(1, *[fault] * 9)
    with pytest.raises(DataError) as caught:
        get(server, tmp_path, 1)
    assert str(caught.value).startswith(f"bsd68: {server.url}/{registered_file(1).path} could not be fetched")
    assert "(attempt 3)" in str(caught.value)
    assert "data.mirror in params.yaml or DEGRAIN_MIRROR" in str(caught.value)
    assert kept(tmp_path) == []


def test_a_stall_ends_in_time(server, tmp_path):
    server.break_next(1, "stall")
    start_s = time.monotonic()
    with pytest.raises(DataError, match="timed out"):
        get(server, tmp_path, 1, patience=Patience(1, 0.5, 1, 0))
    assert time.monotonic() - start_s < 5


def test_what_is_not_there_is_not_asked_for_again(server, tmp_path):
    with pytest.raises(DataError, match="404"):
        get(server, tmp_path, 40)
    assert server.requests == {registered_file(40).path: 1}
    assert kept(tmp_path) == []


def test_other_bytes_are_refused_by_their_hash_and_leave_nothing(server, tmp_path):
    server.break_next(2, "wrong")
    with pytest.raises(DataError) as caught:
        get(server, tmp_path, 2)
    wrong = hashlib.sha256(bytes(len(contents(2)))).hexdigest()
    for part in ("test002.png", server.url, registered_file(2).sha256, wrong):
        assert part in str(caught.value)
    assert kept(tmp_path) == []


def test_a_server_that_is_not_there_is_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DataError, match=f"{url}/cszn/FFDNet/.*could not be fetched"):
        fetch([registered_file(0)], mirror=url, cache=tmp_path, patience=QUICK)


def test_a_failure_keeps_what_was_finished(server, tmp_path):
    server.break_next(5, 404)
    with pytest.raises(DataError):
        get(server, tmp_path, *range(6), patience=Patience(1, 1, 1, 0))
    assert kept(tmp_path) == [f"test{number:03d}.png" for number in range(5)]
    get(server, tmp_path, *range(6))
    assert server.requests[registered_file(0).path] == 1


def test_an_error_of_one_file_ends_the_attempts_at_others(server, tmp_path):
    server.break_next(1, *["stall"] * 9)
    start_s = time.monotonic()
    with pytest.raises(DataError, match="404"):
        get(server, tmp_path, 1, 40, patience=Patience(2, QUICK.timeout_s, 9, 0.01))
    assert time.monotonic() - start_s < 6 * QUICK.timeout_s  # all attempts take 9
    assert server.requests[registered_file(1).path] <= 2
    assert kept(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_fetched_anew(server, tmp_path):
    (path,) = get(server, tmp_path, 3).values()
    for damage in (b"", contents(3)[:-1], bytes(len(contents(3)))):
        path.write_bytes(damage)
        get(server, tmp_path, 3)
        assert path.read_bytes() == contents(3)


@pytest.mark.parametrize(
    ("place", "fault"),
    [("a-file", "Not a directory"), ("a-link", "File exists"), ("/proc/no", "No such file")],
)
def test_a_cache_that_cannot_be_is_named(server, tmp_path, monkeypatch, place, fault):
    (tmp_path / "a-file").touch()
    (tmp_path / "a-link").symlink_to("nowhere")
    if not Path(place).parent.exists():
        pytest.skip(f"needs {Path(place).parent}")
    monkeypatch.setenv("DEGRAIN_CACHE", str(tmp_path / place))
    with pytest.raises(DataError) as caught:
        fetch([registered_file(0)], mirror=server.url, patience=QUICK)
    assert str(caught.value).startswith(f"{tmp_path / place / 'datasets'}: expected a folder")
    assert fault in str(caught.value)
    assert "DEGRAIN_CACHE" in str(caught.value)
    assert server.requests == {}


# --- downloads in a process of their own ---

FETCH = """
import signal, sys
from pathlib import Path
from degrain.data.fetch import Patience, fetch
from degrain.data.registry import RegisteredFile
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
url, folder, timeout_s, attempts, *files = sys.argv[1:]
parts = [part.split(":") for part in files]
wanted = [RegisteredFile("bsd68", name, int(size), sha256) for name, size, sha256 in parts]
fetch(wanted, mirror=url, cache=Path(folder), patience=Patience(1, float(timeout_s), int(attempts), 0.01))
"""


def start(server, folder, *numbers, timeout_s=60.0, attempts=1, limits="true"):
    """Begin to fetch files one after another, after a shell has set `limits`."""
    files = [registered_file(number) for number in numbers]
    return subprocess.Popen(
        ["sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, "-c", FETCH]
        + [server.url, str(folder), str(timeout_s), str(attempts)]
        + [f"{file.name}:{file.bytes}:{file.sha256}" for file in files],
        env={"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_asked_for(server, number, process):
    while server.requests[registered_file(number).path] == 0:
        assert process.poll() is None
        time.sleep(0.02)


def test_a_download_that_was_killed_goes_on_with_the_rest(server, tmp_path):
    server.break_next(3, "stall")
    process = start(server, tmp_path, *range(6))
    wait_until_asked_for(server, 3, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert set(kept(tmp_path)) >= {"test000.png", "test001.png", "test002.png"}
    assert "test003.png" not in kept(tmp_path)
    found = get(server, tmp_path, *range(6))
    files = [registered_file(number) for number in range(6)]
    assert all(sha256_file(found[file.path]) == file.sha256 for file in files)
    assert [server.requests[file.path] for file in files] == [1, 1, 1, 2, 1, 1]


def test_an_interrupt_ends_the_attempts(server, tmp_path):
    server.break_next(3, *["stall"] * 9)
    process = start(server, tmp_path, 3, timeout_s=QUICK.timeout_s, attempts=9)
    wait_until_asked_for(server, 3, process)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate()[1]
    assert server.requests[registered_file(3).path] <= 2
    assert kept(tmp_path) == []


def test_a_cache_without_room_is_named_and_not_tried_again(server, tmp_path):
    process = start(server, tmp_path, 3, attempts=9, limits="ulimit -f 100")  # of 512 bytes
    assert f"DataError: {tmp_path}: expected a folder with room" in process.communicate()[1]
    assert server.requests == {registered_file(3).path: 1}
    assert kept(tmp_path) == []


# --- a mirror that is a folder ---


@pytest.fixture
def mirror(tmp_path):
    for number in range(3):
        path = tmp_path / "mirror" / registered_file(number).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents(number))
    return tmp_path / "mirror"


def test_files_of_a_folder_are_used_where_they_lie(mirror, tmp_path):
    found = fetch(map(registered_file, range(3)), mirror=str(mirror), cache=tmp_path / "cache")
    assert all(path == mirror / name for name, path in found.items())
    assert not (tmp_path / "cache").exists()


def test_what_a_folder_lacks_is_said_set_by_set(mirror):
    kodak = [file for file in files_by_path().values() if file.set in ("kodak24", "mnist")]
    with pytest.raises(DataError) as caught:
        fetch([registered_file(0), *kodak], mirror=str(mirror))
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        f"kodak24: 24 of the files wanted are not in the mirror {mirror}, such as cszn/FFDNet/"
    )
    assert "unset data.mirror in params.yaml or DEGRAIN_MIRROR to fetch them from https://raw" in first
    assert "mnist: 2 of" in second
    assert "storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz" in second


def test_other_bytes_in_a_folder_are_refused(mirror):
    path = mirror / registered_file(1).path
    path.write_bytes(b"another")
    with pytest.raises(DataError) as caught:
        fetch([registered_file(1)], mirror=str(mirror))
    for part in (str(path), registered_file(1).sha256, sha256_file(path), registered_file(1).url):
        assert part in str(caught.value)


def test_a_mirror_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="expected a folder or an http address as mirror, found nothing"):
        fetch([registered_file(0)], mirror=str(tmp_path / "no"))


def test_the_environment_overrides_the_params(monkeypatch, tmp_path):
    monkeypatch.delenv("DEGRAIN_MIRROR", raising=False)
    assert find_mirror(None) is None
    assert find_mirror("there") == "there"
    monkeypatch.setenv("DEGRAIN_MIRROR", "here")
    assert find_mirror("there") == "here"
    monkeypatch.setenv("DEGRAIN_CACHE", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path)


@pytest.mark.skipif(not REAL_MIRROR.is_dir(), reason="no folder DEGRAIN_MIRROR with the real files")
def test_the_real_files_are_what_is_registered():
    wanted = [f for f in files_by_path().values() if f.set in ("bsd68", "set12", "polyu", "fashion-mnist")]
    present = [file for file in wanted if (REAL_MIRROR / file.path).is_file()]
    assert len(fetch(present, mirror=str(REAL_MIRROR))) == len(present) > 0
