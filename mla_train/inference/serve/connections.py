"""Connections of clients: one that sends no request in time is closed, so that silent clients do not use up a server."""

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SILENCE_SECONDS = 30.0


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP as uvicorn speaks it, which by itself waits for ever for the end of the headers, of the first request or of a further one."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Gives the client some time for its first request."""
        super().connection_made(transport)
        self._wait_for_request()

    def on_response_complete(self) -> None:
        """Gives the client some time for its next request."""
        self._timer.cancel()
        super().on_response_complete()
        self._wait_for_request()

    def _wait_for_request(self) -> None:
        def close_if_silent() -> None:
            cycle = getattr(self, "cycle", None)  # the newest request
            if cycle is None or cycle.response_complete:
                self.transport.close()

        self._timer = asyncio.get_running_loop().call_later(SILENCE_SECONDS, close_if_silent)

    def connection_lost(self, error: Exception | None) -> None:
        """Forgets the client."""
        self._timer.cancel()
        super().connection_lost(error)
