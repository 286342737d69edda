"""A text that is passed on while it is written."""

import codecs
from collections.abc import Callable, Sequence


class StreamedText:
    """Passes on the beginning of a text as far as it is certain.

    Half a character waits for its other half, and what may be the beginning of a text at which writing stops for what
    follows: all pieces together are the text as it is in the end.

    Args:
        on_piece: Called with each piece.
        stops: Texts at which writing stops, as bytes; they are not passed on.
    """

    def __init__(self, on_piece: Callable[[str], None], stops: Sequence[bytes]) -> None:
        self.on_piece, self.stops = on_piece, stops
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._passed = 0

    def write(self, whole: bytes, is_over: bool = False) -> None:
        """Takes the text as far as it is written, without a stop at its end where it is over."""
        end = len(whole) if is_over else self._certain(whole)
        piece = self._decoder.decode(whole[self._passed : end], is_over)
        self._passed = max(self._passed, end)
        if piece:
            self.on_piece(piece)

    def _certain(self, whole: bytes) -> int:
        """Number of bytes before a stop, or before what may become one."""
        stop_places = [at for stop in self.stops if (at := whole.find(stop)) >= 0]
        begun = [
            len(whole) - size
            for stop in self.stops
            for size in range(1, min(len(stop), len(whole) + 1))
            if whole.endswith(stop[:size])
        ]
        return min([*stop_places, *begun, len(whole)])
