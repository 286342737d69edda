"""Connections of clients: one that sends no request in time is closed, so that silent clients do not use up a server."""

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SILENCE_SECONDS = 30.0
LARGEST_HEADERS = 65_536  # bytes


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP as uvicorn speaks it, which by itself waits for ever for the end of the headers, of the first request or of a further one.

    Headers without end are closed, too: they are kept until they end.
    """

    _in_headers, _bytes_of_headers = False, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Gives the client some time for its first request."""
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """Counts what comes of headers that have begun."""
        had_begun = self._in_headers
        super().data_received(data)
        self._bytes_of_headers = self._bytes_of_headers + len(data) if had_begun and self._in_headers else 0
        if self._bytes_of_headers > LARGEST_HEADERS:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Headers begin."""
        self._in_headers = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Headers end."""
        self._in_headers = False
        super().on_headers_complete()

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
