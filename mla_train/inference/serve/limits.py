"""What a server accepts, and how it says no."""

from dataclasses import dataclass

from mla_train.errors import UserError


@dataclass(frozen=True)
class Limits:
    """The most that a request may ask for.

    Attributes:
        body_bytes: Size of a body.
        examples: Number of examples in a request.
        lists: Number of lists and objects in a body, with brackets in texts.
        text_characters: Length of a text.
        image_pixels: Width times height of an image.
        request_pixels: That of all images of a request.
        series_steps: Length of a series or of a sequence of features.
        queued_examples: Number of examples that wait for the model.
        seconds: Time until an answer.
    """

    body_bytes: int = 16 * 2**20
    examples: int = 256
    lists: int = 500_000
    text_characters: int = 100_000
    image_pixels: int = 50_000_000
    request_pixels: int = 200_000_000
    series_steps: int = 5_000
    queued_examples: int = 1024
    seconds: float = 30.0


class Budget:
    """What the images of a request may still have.

    Args:
        pixels: Number of pixels.
    """

    def __init__(self, pixels: int) -> None:
        self.most = self.left = pixels

    def spend(self, pixels: int) -> None:
        """Raises a UserError where that is more than is left."""
        self.left -= pixels
        if self.left < 0:
            raise UserError(
                f"the images of the request have more than {self.most:,} pixels (request_pixels): send fewer"
            )


class RequestError(UserError):
    """A request that is refused.

    Args:
        status: Status code of HTTP.
        message: What is wrong, in one line.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
