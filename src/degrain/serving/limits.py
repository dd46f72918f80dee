"""What a server takes, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass

RETRY_AFTER_S = 1
# As MLflow calls them.
ERROR_CODES = {
    400: "BAD_REQUEST",
    404: "ENDPOINT_NOT_FOUND",
    408: "REQUEST_TIMEOUT",
    413: "REQUEST_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes
    ----------
    body_mb : of a request, in 10^6 bytes.
    megapixels : of all images of a request together.
    timeout_s : from the first byte of a request to its answer.
    concurrent : requests that are worked on at once.
    queue : requests beyond those that may wait.
    """

    body_mb: float = 64.0
    megapixels: float = 50.0
    timeout_s: float = 120.0
    concurrent: int = 2
    queue: int = 32

    @property
    def body_bytes(self) -> int:
        """Of a request."""
        return int(self.body_mb * 1_000_000)

    @property
    def pixels(self) -> int:
        """Of a request."""
        return int(self.megapixels * 1_000_000)


class Refusal(Exception):
    """A request that gets no image, and why.

    Parameters
    ----------
    status : of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def body(self) -> dict[str, str]:
        """As MLflow's errors look."""
        return {"error_code": ERROR_CODES.get(self.status, "BAD_REQUEST"), "message": str(self)}

    @property
    def headers(self) -> dict[str, str]:
        """What the client should know besides."""
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status == 503 else {}
