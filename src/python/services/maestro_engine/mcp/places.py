"""How many clients may wait here at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR


class Places:
    """As many as there are; who finds none is told to come again."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold one; raises MCPError when all are taken."""
        if self._taken >= self._count:
            raise MCPError(
                INTERNAL_ERROR, f"{self._count} clients wait here already; try again later", {"retryable": True}
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
