"""A server that many clients use badly at once: it answers the others, and keeps its memory."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.inference.serving import random_predictor, save_run

pytest.importorskip("fastapi", reason="the extra serve is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from mla_train.inference.serve import connections  # noqa: E402
from tests.inference.test_serve_command import get, serving  # noqa: E402

BAD = [
    b'POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"text": ',
    b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost",
    b"",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
    b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffff\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
]


def memory(process):
    """Bytes that a process holds."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096


async def clients(host, port, count):
    """Connections that say something bad and stay."""

    async def one(number):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(BAD[number % len(BAD)])
        await writer.drain()
        return reader, writer

    return [await asyncio.gather(*(one(start + i) for i in range(50))) for start in range(0, count, 50)]


@pytest.mark.slow
def test_a_thousand_bad_clients_do_not_keep_others_waiting(tmp_path):
    run = save_run(random_predictor("text_classification"), tmp_path)
    with serving("--run", run) as (process, address):
        Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop the server
        host, port = address.removeprefix("http://").split(":")

        async def load():
            before = None
            for _ in range(3):
                open_ones = await clients(host, int(port), 1000)
                for _ in range(20):
                    answer = await asyncio.to_thread(get, f"{address}/predict", {"text": "good film"})
                    assert json.loads(answer)["prediction"] in ("a", "b")
                for _, writer in (each for group in open_ones for each in group):
                    writer.transport.abort()
                await asyncio.sleep(0.5)
                before = before or memory(process)
            return before

        before = asyncio.run(load())
        assert memory(process) < before + 50_000_000
        assert json.loads(get(f"{address}/health")) == {"status": "ok"}
        assert process.poll() is None


@asynccontextmanager
async def served():
    """Port of a server that says ok."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    options = {"http": connections.PatientProtocol, "lifespan": "off", "log_level": "critical", "port": 0}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


def test_a_client_that_sends_no_request_is_cut_off(monkeypatch):
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 0.5)

    async def speak():
        async with served() as port:
            silent, _ = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            assert await asyncio.wait_for(silent.read(), 10) == b""  # closed
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(4):  # one that sends requests is not
                await asyncio.sleep(0.2)
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            writer.write(b"GET / HT")  # half of a further one
            assert await asyncio.wait_for(reader.read(), 10) == b""

    asyncio.run(speak())


@pytest.mark.parametrize("header", [b"a:b\r\n", b"a"])
def test_a_client_whose_headers_have_no_end_is_cut_off(header):
    async def speak():
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")  # a body is not counted
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
            with suppress(ConnectionError):
                for _ in range(1000):
                    writer.write(header * 10_000)
                    await writer.drain()
                pytest.fail("all of them were taken")

    asyncio.run(speak())
