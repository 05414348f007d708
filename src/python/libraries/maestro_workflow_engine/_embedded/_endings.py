"""Who waits for the end of a workflow, whether it is in memory or not."""

import asyncio

from maestro_workflow_engine._errors import EngineError, WorkflowError


class Endings:
    """Futures by the id of the workflow; one that nobody wants any more is forgotten."""

    def __init__(self) -> None:
        self._futures: dict[str, set[asyncio.Future[None]]] = {}
        self._error: EngineError | None = None

    def of(self, workflow_id: str) -> asyncio.Future[None]:
        """Done once the end of the workflow is durable; fails with the error that ends the engine before."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._error is not None:
            future.set_exception(self._error)
            return future
        self._futures.setdefault(workflow_id, set()).add(future)
        future.add_done_callback(lambda _: self._forget(workflow_id, future))
        return future

    def tell(self, workflow_id: str) -> None:
        """The workflow has ended."""
        for future in self._futures.get(workflow_id, ()):
            if not future.done():
                future.set_result(None)

    def give_up(self, workflow_id: str, error: WorkflowError) -> None:
        """The workflow cannot go on here."""
        for future in self._futures.get(workflow_id, ()):
            if not future.done():
                future.set_exception(error)

    def close(self, error: EngineError) -> None:
        """No workflow ends here any more."""
        self._error = error
        for workflow_id in self._futures:
            self.give_up(workflow_id, error)

    def _forget(self, workflow_id: str, future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            future.exception()  # whoever has stopped waiting need not hear of it
        futures = self._futures.get(workflow_id, set())
        futures.discard(future)
        if not futures:
            self._futures.pop(workflow_id, None)
