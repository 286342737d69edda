"""A model with the threads that work for it, between requests and records."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Event
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from mla_train.errors import UserError
from mla_train.inference.forecast import draw_forecast
from mla_train.inference.predictor import Predictor
from mla_train.inference.serve.batching import Batcher, ClientGoneError, T, contained
from mla_train.inference.serve.examples import ExampleReader, Examples
from mla_train.inference.serve.explanations import Explainer
from mla_train.inference.serve.limits import Limits, RequestError
from mla_train.inference.serve.observe import ServerMetrics

log = logging.getLogger(__name__)

BATCH = 16  # examples that the network reads at a time: of similar length, more gain nothing on a CPU
MOST_DRAWINGS = 8  # requests for figures that are drawn or wait

SHORT = 65_536  # bytes of a body of texts that is read at once, as the way to a thread takes longer
MOST_BODIES = 16  # bodies of the largest size that are held at once


class Service:
    """A model with the threads that work for it.

    Args:
        predictor: Trained model.
        limits: The most that a request may ask for.
    """

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self.predictor, self.limits = predictor, limits
        self.reader = ExampleReader(predictor.spec, limits)
        self.explainer = Explainer(predictor)
        self.metrics = ServerMetrics(lambda: self.batcher.waiting)
        self.batcher = Batcher(self._predict, limits.queued_examples, on_batch=self.metrics.batches.observe)
        self.decoding, self.drawing = ThreadPoolExecutor(2, "decode"), ThreadPoolExecutor(1, "draw")
        self.drawings = self.held = 0
        example = {name: modality.example_values(1)[0] for name, modality in predictor.spec.inputs.items()}
        self._predict(
            [example], None
        )  # loads what is imported late; where the model reads other sizes, that is an error record

    def _predict(
        self, examples: Sequence[dict[str, Any]], on_piece: Callable[[str], None] | None = None
    ) -> list[dict[str, Any]]:
        head: Any = self.predictor.network.head
        if on_piece is not None:
            head.on_piece = on_piece
        try:
            return list(self.predictor.predict_batches(examples, BATCH, keep_errors=True))
        finally:
            if on_piece is not None:
                head.on_piece = None

    def close(self) -> None:
        """Ends the threads, once they have answered."""
        self.batcher.close()
        self.decoding.shutdown()
        self.drawing.shutdown()

    async def read(self, request: Request) -> Examples:
        """The examples of a request.

        Raises:
            RequestError: The body is too large, holds no examples, or comes while too many others are read.
        """
        held = [0]
        try:
            body = await self._body(request, held)
            if not self.reader.is_slow and len(body) <= SHORT:
                return self.reader.read(body)
            return await asyncio.get_running_loop().run_in_executor(self.decoding, contained, self.reader.read, body)
        except ClientDisconnect:  # nobody reads the answer
            raise RequestError(400, "the client left before the end of the body") from None
        finally:
            self.held -= held[0]

    async def _body(self, request: Request, held: list[int]) -> bytes:
        """The body of a request; the bytes that are kept of it are counted in `held`, also where it has no end."""
        chunks, size, limit = [], 0, self.limits.body_bytes
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                if self.held + len(chunk) > MOST_BODIES * limit:
                    raise RequestError(503, "many large requests are being read: try again in a second")
                self.held += len(chunk)
                held[0] += len(chunk)
                chunks.append(chunk)
            elif size > 4 * limit:  # up to here it is read, so that the client gets the answer
                break
        if size > limit:
            raise RequestError(413, f"the body is too large: at most {limit:,} bytes (body_bytes)")
        return b"".join(chunks)

    async def read_one(self, request: Request) -> dict[str, Any]:
        """The raw values of a request's one example.

        Raises:
            RequestError: It has several examples, or one that cannot be read.
        """
        asked = await self.read(request)
        if asked.several:
            raise RequestError(422, "one example is needed, not a list")
        if isinstance(asked.examples[0], UserError):
            raise RequestError(422, str(asked.examples[0]))
        return asked.examples[0]

    async def predict(self, examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Records of examples, predicted together with those of other requests."""
        return await asyncio.wrap_future(self.batcher.submit(examples))

    async def write(self, example: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """A continued text piece by piece, as `{"text": ...}`, and then its record, or `{"error": ...}`.

        Raises:
            RequestError: Too many examples are waiting.
        """
        loop, gone = asyncio.get_running_loop(), Event()
        parts: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def on_piece(piece: str) -> None:
            if gone.is_set():
                raise ClientGoneError
            loop.call_soon_threadsafe(parts.put_nowait, {"text": piece})

        future = self.batcher.submit([example], on_piece)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(parts.put_nowait, None))
        try:
            end = loop.time() + self.limits.seconds
            part: dict[str, Any] | None = {}
            while part is not None:
                async with asyncio.timeout_at(end):  # not while a client takes a piece: its end would be no error there
                    part = await parts.get()
                if part is not None:
                    yield part
            yield (await asyncio.wrap_future(future))[0]
        except TimeoutError:
            yield {"error": f"no end of the answer within {self.limits.seconds:g} seconds (seconds)"}
        except Exception:
            log.exception("a text could not be continued")
            yield {"error": "the server failed; its log says why"}
        finally:
            gone.set()
            future.cancel()

    async def draw(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function that draws, one after the other.

        Raises:
            RequestError: Too many are waiting.
        """
        if self.drawings >= MOST_DRAWINGS:
            raise RequestError(503, f"{self.drawings} figures are waiting: try again in a second")
        self.drawings += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.drawing, contained, function, *arguments)
        finally:
            self.drawings -= 1

    async def forecast(self, example: dict[str, Any]) -> bytes:
        """The forecast of a table, with its band and the steps before it, as PNG."""
        (record,) = await self.predict([example])

        def draw() -> bytes:
            file = BytesIO()
            draw_forecast([next(iter(example.values()))], [record], file)
            return file.getvalue()

        return await self.draw(draw)
