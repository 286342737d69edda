"""Connections of clients: one that sends no request in time is closed, so that silent clients do not use up a server."""

import asyncio

from uvicorn.protocols.http.auto import AutoHTTPProtocol

SILENCE_SECONDS = 30.0


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """HTTP as uvicorn speaks it, which by itself waits for ever for the end of the headers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Gives the client some time for its first request."""
        super().connection_made(transport)

        def close_if_silent() -> None:
            if getattr(self, "cycle", None) is None:
                transport.close()

        self._timer = asyncio.get_running_loop().call_later(SILENCE_SECONDS, close_if_silent)

    def connection_lost(self, error: Exception | None) -> None:
        """Forgets the client."""
        self._timer.cancel()
        super().connection_lost(error)
