"""Who is reading: admits readers up to a limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class FeedError(Exception):
    """Root of what the feed raises."""

    code: ClassVar[str] = "feed"
    retryable: ClassVar[bool] = False


class TooManyReaders(FeedError):
    """As many sockets and streams are open as the settings allow."""

    code = "feed.too-many-readers"
    retryable = True

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} readers are connected already; close one, or raise the setting max_readers.")


class Hub:
    """The readers of one engine."""

    def __init__(self, *, max_readers: int) -> None:
        self._max_readers = max_readers
        self._readers = 0

    @property
    def readers(self) -> int:
        """How many sockets and streams are open now."""
        return self._readers

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold one place for as long as the block runs; raises TooManyReaders when none is free."""
        if self._readers >= self._max_readers:
            raise TooManyReaders(self._max_readers)
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
