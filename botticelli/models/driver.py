"""What drivers have in common: a client that is made late and once, and shared by all threads."""

import threading
from typing import Generic, TypeVar

from botticelli.models.base import Request
from botticelli.models.usage import input_tokens

Client = TypeVar("Client")


class Driver(Generic[Client]):
    """Everything of a Model but `generate`.

    `_make` returns the client; it is called with the first request, or by `prepare`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Client | None = None

    def prepare(self) -> None:
        """See Model."""
        self._client()

    def estimate(self, request: Request) -> int:
        """See Model."""
        return input_tokens(request)

    def close(self) -> None:
        """Close the connections, free the memory; the next call makes a new client."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None and hasattr(made, "close"):
            made.close()

    def _client(self) -> Client:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Client:
        raise NotImplementedError
