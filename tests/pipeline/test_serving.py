"""The running server: a tiny network, real processes, loopback alone.

One server for the tests that ask; those that end processes of it come after them, the end last.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import random
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np
import pytest
import requests
import tifffile
import torch
from PIL import Image as Pillow

from degrain.build.dial import load_between
from degrain.build.generator import build_generator, save_generator
from degrain.codecs.png import encode_png
from degrain.compute import start_engine
from degrain.params import Compute, parse_params
from degrain.pictures import decode_picture
from degrain.restore import Restorer
from serving_support import Registry, Server, running
from support import SMALL, merged
from training_support import trained_like

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
LIMITS = ("--body-mb", "1", "--megapixels", "4", "--queue", "250", "--concurrent", "2", "--reload", "0.3")
KINDS = {"PNG": "png", "JPEG": "jpeg", "TIFF": "tiff", "WebP": "webp"}


class Served(NamedTuple):
    """A server, its registry, and the ends of the dial of its first version."""

    server: Server
    registry: Registry
    faithful: Path
    realistic: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory, default_values):
    folder = tmp_path_factory.mktemp("served")
    model = parse_params(merged(default_values, SMALL)).model
    ends = folder / "faithful.safetensors", folder / "realistic.safetensors"
    for seed, end in enumerate(ends):
        torch.manual_seed(seed)
        network = trained_like(build_generator(model, 3))
        with torch.no_grad():
            for weights in network.parameters():
                weights.mul_(1 + seed / 10)
        save_generator(end, network, model, 3)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):
            patch.setenv(variable, "")
            patch.delenv(variable)
        registry = Registry(folder)
        registry.crown(registry.add(ends[1], ends[0]))
        with running(folder, *LIMITS) as server:
            registry.add(ends[0])  # meanwhile
            server.wait_until_ready("models:/degrain-rgb/1")
            yield Served(server, registry, *ends)


@pytest.fixture
def server(served):
    return served.server


def image(kind="PNG", dtype=np.uint8):
    """An image file."""
    pixels = PIXELS.astype(dtype) * (257 if dtype == np.uint16 else 1)
    if kind == "PNG":
        return encode_png(pixels)
    buffer = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, pixels, photometric="rgb")
    else:
        Pillow.fromarray(pixels).save(buffer, kind, lossless=True)
    return buffer.getvalue()


def text(data):
    return base64.b64encode(data).decode()


def denoise(server, data, kind="png", **query):
    headers = {"Content-Type": f"image/{kind}"}
    return requests.post(f"{server.address}/denoise", data=data, params=query, headers=headers, timeout=60)


def invoke(server, body):
    return requests.post(f"{server.address}/invocations", json=body, timeout=60)


def stored(data):
    return decode_picture(data, Path("of the test")).stored


# What it answers


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("PNG", np.uint8), ("PNG", np.uint16), ("JPEG", np.uint8), ("TIFF", np.uint16), ("WebP", np.uint8)],
)
def test_an_image_file_comes_back_restored(served, kind, dtype):
    answer = denoise(served.server, image(kind, dtype), KINDS[kind], sigma_255=25.5, strength=0.5, dial=0.25)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == f"image/{KINDS[kind]}"
    assert answer.headers["X-Degrain-Model"] == "models:/degrain-rgb/1"
    found, given = stored(answer.content), stored(image(kind, dtype))
    assert (found.format, found.pixels.dtype, found.pixels.shape) == (kind, dtype, given.pixels.shape)
    engine = start_engine(Compute(device="auto", precision="auto", threads=1))
    restorer = Restorer(*load_between(served.faithful, served.realistic, 0.25), engine)
    expected = restorer.restore_stored(given.pixels, 0.1, 0.5)
    assert not np.array_equal(expected, given.pixels)
    if kind != "JPEG":  # which loses some of it once more
        np.testing.assert_allclose(found.pixels, expected, atol=2 * np.iinfo(dtype).max / 255)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [text(image())]},
        {"inputs": text(image())},
        {"inputs": {"image": [text(image())]}},
        {"instances": [text(image())]},
        {"instances": [{"image": text(image())}]},
        {"dataframe_split": {"columns": ["image"], "data": [[text(image())]]}},
        {"dataframe_records": [{"image": text(image())}]},
    ],
)
def test_every_form_that_mlflow_documents_gives_the_same(server, body):
    answer = invoke(server, body | {"params": {"sigma_255": 25}})
    assert answer.status_code == 200, answer.text
    [restored] = answer.json()["predictions"]
    assert base64.b64decode(restored) == denoise(server, image(), sigma_255=25).content


@pytest.mark.parametrize(
    ("path", "kind", "body", "status", "message"),
    [
        ("denoise", "text/plain", image(), 415, "expected image/png"),
        ("denoise", "image/png", b"", 400, "empty file"),
        ("denoise", "image/png", b"GIF89a", 400, "not a PNG, JPEG, WebP or TIFF image"),
        ("denoise", "image/png", image()[:200], 400, "truncated PNG"),
        ("denoise", "image/png", image()[:200] + b"?" + image()[201:], 400, "corrupt PNG"),
        ("denoise?sigma_255=x", "image/png", image(), 400, "sigma_255 = 'x'; expected a number"),
        ("denoise?sigma_255=256", "image/png", image(), 400, "sigma_255 = 256.0; expected a number"),
        ("denoise?strength=nan", "image/png", image(), 400, "strength = nan; expected a number from 0 to 1"),
        ("denoise?sigma=25", "image/png", image(), 400, "no param 'sigma'; expected any of sigma_255"),
        ("denoise", "image/png", bytes(1_000_001), 413, "larger than 1 MB"),
        ("invocations", "text/csv", b"image", 415, "expected application/json"),
        ("invocations", "application/json", b"{", 400, "the body is not JSON"),
        ("invocations", "application/json", b"[" * 100_000, 400, "the body is not JSON"),
        ("invocations", "application/json", b"\xff", 400, "the body is not JSON"),
        ("invocations", "application/json", b'{"inputs": []}', 400, "expected a list of base64"),
        ("invocations", "application/json", b'{"inputs": ["?"]}', 400, "image 0: no base64"),
        ("invocations", "application/json", b'{"inputs": [[[1]]]}', 400, "image 0 is no base64 string"),
        ("invocations", "application/json", b'{"messages": []}', 400, "one of inputs, instances"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(server, path, kind, body, status, message):
    answer = requests.post(f"{server.address}/{path}", data=body, headers={"Content-Type": kind}, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json; charset=utf-8")
    assert message in answer.json()["message"]
    assert set(answer.json()) == {"error_code", "message"}


def test_a_body_of_no_declared_length_is_measured_as_it_comes(server):
    answer = denoise(server, iter([bytes(300_000)] * 4))
    assert (answer.status_code, answer.json()["error_code"]) == (413, "REQUEST_TOO_LARGE")


def test_a_compressed_body_is_read_and_measured_as_what_it_unpacks_to(server):
    headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}

    def send(body):
        return requests.post(f"{server.address}/denoise", data=body, headers=headers, timeout=60)

    assert send(gzip.compress(image())).content == denoise(server, image()).content
    assert send(gzip.compress(bytes(2_000_000))).status_code == 413
    bad = send(b"no gzip")
    assert (bad.status_code, "not in its Content-Encoding" in bad.text) == (400, True)


def test_other_addresses_and_methods_are_answered_in_json(server):
    for method, path, status in [("GET", "/", 404), ("GET", "/denoise", 405), ("PUT", "/health", 405)]:
        answer = requests.request(method, server.address + path, timeout=10)
        assert (answer.status_code, answer.json()["message"][:3]) == (status, method)


def test_prometheus_reads_what_happened(server):
    from prometheus_client.parser import text_string_to_metric_families as parse

    def answers():
        families = parse(requests.get(f"{server.address}/metrics", timeout=10).text)
        samples = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
        assert samples["degrain_model", "models:/degrain-rgb/1"] == 1
        asked = "degrain_requests_total", "/denoise"
        return samples.get((*asked, "200"), 0), samples.get((*asked, "400"), 0)

    good, bad = answers()
    denoise(server, image())
    denoise(server, b"?")
    assert answers() == (good + 1, bad + 1)


# What would fill the memory


def png_of(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_of(width, height):
    data = image("JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def webp_of(width, height):
    data = image("WebP")
    at = data.index(b"VP8L") + 9
    bits = int.from_bytes(data[at : at + 4], "little") >> 28 << 28 | (height - 1) << 14 | (width - 1)
    return data[:at] + bits.to_bytes(4, "little") + data[at + 4 :]


def tiff_of(changes, **options):
    """A small TIFF whose tags claim something else."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, PIXELS[..., 0], photometric="minisblack", **options)
    data = bytearray(buffer.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for name, value in changes.items():
            tag = file.pages[0].tags[name]
            size = {3: "H", 4: "I"}[tag.dtype]
            struct.pack_into(f"<{size}", data, tag.valueoffset, value)
    return bytes(data)


def tiff_around(jpeg):
    """A TIFF of 8x8 pixels in JPEG, which says that it is larger."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, iter([jpeg]), shape=(8, 8, 3), dtype=np.uint8, photometric="rgb", compression=7)
    return buffer.getvalue()


BOMBS = {
    "PNG": png_of(60_000, 60_000),
    "JPEG": jpeg_of(65_000, 65_000),
    "WebP": webp_of(16_000, 16_000),
    "TIFF": tiff_of({"ImageWidth": 60_000, "ImageLength": 60_000}),
    "tile of a TIFF": tiff_of({"TileWidth": 60_000, "TileLength": 60_000}, tile=(16, 16)),
    "JPEG in a TIFF": tiff_around(jpeg_of(65_000, 65_000)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_decompression_bomb_is_refused_by_its_header(server, kind):
    before = [scorer.memory_info().rss for scorer in server.scorers()]
    started = time.monotonic()
    answer = denoise(server, BOMBS[kind])
    assert (answer.status_code, answer.json()["error_code"]) == (413, "REQUEST_TOO_LARGE"), answer.text
    assert "may hold 4 megapixels" in answer.json()["message"]
    assert time.monotonic() - started < 5
    assert [scorer.memory_info().rss for scorer in server.scorers()] == before  # which it never reached


def test_pixels_of_all_images_of_a_request_count_together(server):
    large = text(encode_png(np.zeros((1000, 1500, 1), np.uint8)))
    answer = invoke(server, {"inputs": [large] * 3})
    assert (answer.status_code, "image 2: 1500x1000" in answer.text) == (413, True)


# Many at once


async def send_image(session, number):
    data = image() if number % 2 else image("TIFF", np.uint16)
    path = f"/denoise?sigma_255={10 + number % 20}"
    async with session.post(path, data=data, headers={"Content-Type": "image/png"}) as answer:
        return answer.status, answer.headers.get("X-Degrain-Model"), await answer.read()


def test_none_of_200_concurrent_requests_is_lost_or_mixed_up(server):
    expected = {
        (number % 2, number % 20): denoise(
            server, image() if number % 2 else image("TIFF", np.uint16), sigma_255=10 + number % 20
        ).content
        for number in range(20)
    }
    answers = server.together(200, send_image)
    assert [status for status, *_ in answers] == [200] * 200
    assert all(body == expected[n % 2, n % 20] for n, (*_, body) in enumerate(answers))


def malformed(seed):
    """A request that some client could send by mistake or in spite."""
    chance = random.Random(seed)
    data = bytearray(image(chance.choice(list(KINDS))))
    for _ in range(chance.choice([0, 1, 5, 50])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    data = bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
    if chance.random() < 0.5:
        query = chance.choice(["", "?strength=2", "?dial=-1", "?sigma_255=1e999", "?x=1", "?strength="])
        return "/denoise" + query, "image/png", data
    inputs = chance.choice([[text(data)], text(data), [text(data)[:-1]], [None], [[]], 1, {}, [1e400], None])
    form = chance.choice(["inputs", "instances", "dataframe_split", "dataframe_records", "x"])
    params = chance.choice(
        [{}, None, [], {"dial": "x"}, {"dial": None}, {"strength": -1}, {"sigma_255": True}]
    )
    body = json.dumps({form: inputs, "params": params}).encode()
    if chance.random() < 0.2:
        body = body[: chance.randrange(len(body))]
    return "/invocations", "application/json", body


def test_1000_malformed_bodies_crash_nothing(server):
    scorers, requests_each = server.scorers(), 20

    async def send(session, client):
        statuses = []
        for number in range(requests_each):
            path, kind, body = malformed(client * requests_each + number)
            async with session.post(path, data=body, headers={"Content-Type": kind}) as answer:
                statuses.append(answer.status)
                assert answer.status == 200 or (await answer.json())["message"]
        return statuses

    statuses = [status for client in server.together(50, send) for status in client]
    assert len(statuses) == 1000
    assert set(statuses) <= {200, 400, 413}
    assert statuses.count(400) > 700
    assert server.scorers() == scorers
    assert denoise(server, image()).status_code == 200


def test_what_exceeds_the_queue_is_told_to_come_back(server):
    address = server.address.removeprefix("http://").split(":")
    slow = [socket.create_connection((address[0], int(address[1]))) for _ in range(252)]
    try:
        for connection in slow:  # their bodies never come
            connection.sendall(b"POST /denoise HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n")
            connection.sendall(b"Content-Length: 100\r\n\r\n")
        server.wait_for_metric("degrain_requests_in_house", 252)
        answer = denoise(server, image())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert requests.get(f"{server.address}/health", timeout=10).status_code == 200
    finally:
        for connection in slow:
            connection.close()
    server.wait_for_metric("degrain_requests_in_house", 0)
    assert denoise(server, image()).status_code == 200


# Processes that come and go


def while_asking(server, change, until):
    """Ask without a pause in 8 places at once, have something changed meanwhile; gives all the answers."""
    answers = []

    async def send(session, client):
        if client == 0:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(change)
        while not until(answers):
            answers.append(await send_image(session, client))

    server.together(9, send)
    return answers


def test_a_scorer_that_is_killed_under_load_loses_no_request(server):
    starts = server.metric("degrain_scorer_starts_total")
    [scorer] = server.scorers()
    times = []

    def kill():
        scorer.kill()
        times.append(time.monotonic())

    answers = while_asking(
        server, kill, lambda answers: times and server.metric("degrain_scorer_starts_total") > starts
    )
    assert {status for status, *_ in answers} == {200}
    assert [process.pid for process in server.scorers()] != [scorer.pid]


def test_requests_follow_the_alias_and_none_is_lost(served):
    first, second = (f"models:/degrain-rgb/{version}" for version in (1, 2))
    answers = while_asking(
        served.server,
        lambda: served.registry.crown("2"),
        lambda answers: len(answers) > 20 and answers[-20][1] == second,
    )
    assert {status for status, *_ in answers} == {200}
    versions = [version for _, version, _ in answers]
    assert set(versions) == {first, second}
    assert versions.count(first) > 5  # which went on until the other was ready
    served.server.wait_until_ready(second)
    assert (
        denoise(served.server, image(), dial=0.5)
        .json()["message"]
        .startswith("dial = 0.5; this model has one")
    )


def test_the_end_finishes_what_has_come_in(server):
    scorers, count, codes = server.scorers(), 40, []
    large = encode_png(RNG.integers(0, 256, (150, 150, 3), dtype=np.uint8))
    seen = "degrain_request_seconds_count", "degrain_requests_in_house"
    before = server.metric(f'{seen[0]}{{endpoint="/denoise"}}')

    def end():
        while server.metric(f'{seen[0]}{{endpoint="/denoise"}}') - before + server.metric(seen[1]) < count:
            time.sleep(0.01)
        assert server.metric(seen[1]) > 10
        codes.append(server.end())

    async def send(session, number):
        if number == count:
            return await asyncio.to_thread(end)
        async with session.post(
            "/denoise?sigma_255=25", data=large, headers={"Content-Type": "image/png"}
        ) as answer:
            return answer.status, len(await answer.read()) > 10_000

    assert server.together(count + 1, send) == [(200, True)] * count + [None]
    assert codes == [0]
    assert not any(scorer.is_running() for scorer in scorers)
    assert list(server.log.parent.glob("degrain-*")) == []
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{server.address}/health", timeout=10)


def test_who_knocks_during_a_restart_is_answered_once_the_model_is_there(server):
    """On the port of the server that has ended."""
    address, started = server.address, []

    async def send(session, number):
        if number == 20:
            again = running(server.log.parent, *LIMITS, "--port", address.rpartition(":")[2])
            started.append(again)
            return await asyncio.to_thread(again.__enter__)
        while True:
            try:
                return (await send_image(session, number))[0]
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.1)

    try:
        *statuses, again = server.together(21, send)
        assert statuses == [200] * 20
        assert (again.address, again.metric("degrain_scorer_starts_total")) == (address, 1)
    finally:
        started[0].__exit__(None, None, None)
