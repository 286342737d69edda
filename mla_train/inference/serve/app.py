"""The endpoints of a served model."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from mla_train.errors import UserError
from mla_train.inference.predictor import Predictor
from mla_train.inference.serve.describe import Problem, answer_type, metadata
from mla_train.inference.serve.limits import Limits, RequestError
from mla_train.inference.serve.observe import ObservedApp
from mla_train.inference.serve.page import page, script, stylesheet
from mla_train.inference.serve.service import Service

PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def create_app(predictor: Predictor, results: Mapping[str, Any], limits: Limits = Limits()) -> FastAPI:  # noqa: B008
    """The app of a trained model.

    Args:
        predictor: Trained model.
        results: Contents of its results.json; empty where there is none.
        limits: The most that a request may ask for.
    """
    service = Service(predictor, limits)
    description = metadata(predictor, results, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title=f"{description['task']}: {description['data']}",
        description='The limits of requests stand in /metadata. An error is `{"error": "..."}`, one line.',
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from the network
        redoc_url=None,
    )
    for kind in (UserError, HTTPException, Exception):
        app.add_exception_handler(kind, answer_error)
    answer = answer_type(predictor.spec.head)
    problems: dict[int | str, Any] = {status: {"model": Problem} for status in (400, 413, 422, 503, 504)}

    def body(schema: dict[str, Any]) -> dict[str, Any]:
        return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

    @app.post("/predict", openapi_extra=body(service.reader.schema()), responses={**problems, 200: {"model": answer}})
    async def predict(request: Request) -> Response:
        """Predicts one example, or several: a bad one among several gets a record with `error`."""
        async with deadline(limits):
            asked = await service.read(request)
            good = [example for example in asked.examples if isinstance(example, dict)]
            answers = iter(await service.predict(good) if good else [])
        records = [
            {"error": str(each)} if isinstance(each, UserError) else as_json_can_hold(next(answers))
            for each in asked.examples
        ]
        if asked.several:
            return JSONResponse({"predictions": records})
        return JSONResponse(records[0], 422 if "error" in records[0] else 200)

    one = body(service.reader.example.model_json_schema())

    @app.post("/explain", openapi_extra=one, responses=problems)
    async def explain(request: Request) -> Response:
        """Explains the prediction of one example: effects of words, and figures as PNG in base64."""
        async with deadline(limits):
            return JSONResponse(await service.draw(service.explainer.explain, await service.read_one(request)))

    if description["answer"] == "forecast":

        @app.post("/forecast", openapi_extra=one, responses={**problems, 200: {"content": {"image/png": {}}}})
        async def forecast(request: Request) -> Response:
            """Draws the forecast of one table, with its band and the steps before it, as PNG."""
            async with deadline(limits):
                return Response(await service.forecast(await service.read_one(request)), media_type="image/png")

    if predictor.spec.head.kind == "next_tokens":

        @app.post("/stream", openapi_extra=one, responses={**problems, 200: {"content": {"text/event-stream": {}}}})
        async def stream(request: Request) -> Response:
            """Continues one text: an event for each piece, `{"text": ...}`, and one for the whole record at the end."""
            async with deadline(limits):
                example = await service.read_one(request)

            async def events() -> AsyncIterator[str]:
                async for part in service.write(example):
                    yield f"data: {json.dumps(part)}\n\n"

            return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @app.get("/health", responses={503: {"model": Problem}})
    async def health() -> dict[str, str]:
        """Whether the model answers."""
        if not service.batcher.alive:
            raise RequestError(503, "the model has stopped")
        return {"status": "ok"}

    @app.get("/metadata")
    async def show_metadata() -> dict[str, Any]:
        """The task, its inputs and classes, metrics of the test split, versions, and limits of requests."""
        return description

    @app.get("/metrics")
    async def metrics() -> Response:
        """Requests, latency, queue and batches, for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    files = {"/": (page(description), "html"), "/page.css": (stylesheet(), "css"), "/page.js": (script(), "javascript")}
    for path, (text, name) in files.items():
        app.add_route(path, fixed_response(text, f"text/{name}"), include_in_schema=False)
    paths = {getattr(route, "path", "") for route in app.routes}
    app.add_middleware(ObservedApp, metrics=service.metrics, paths=paths)
    return app


def fixed_response(text: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that always gives the same."""

    async def endpoint(_: Request) -> Response:
        return Response(text, headers=PAGE_HEADERS, media_type=media_type)

    return endpoint


def as_json_can_hold(record: dict[str, Any]) -> dict[str, Any]:
    """A record, or an error in its place where it has numbers that are not finite, as of inputs that are too large."""
    try:
        json.dumps(record, allow_nan=False)
    except ValueError:
        return {"error": "the answer is no finite number: are values of the inputs too large?"}
    return record


@asynccontextmanager
async def deadline(limits: Limits) -> AsyncIterator[None]:
    """Ends what takes too long with 504."""
    try:
        async with asyncio.timeout(limits.seconds):
            yield
    except TimeoutError:
        raise RequestError(504, f"no answer within {limits.seconds:g} seconds (seconds)") from None


async def answer_error(request: Request, error: Exception) -> Response:
    """An error as one line of JSON."""
    if isinstance(error, UserError):
        status, message = getattr(error, "status", 422), str(error)
    elif isinstance(error, HTTPException):
        status, message = error.status_code, f"{request.method} {request.url.path}: {error.detail}; see /openapi.json"
    else:
        status, message = 500, "the server failed; its log says why"
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse({"error": message}, status, headers)
