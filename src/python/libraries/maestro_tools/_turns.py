"""One call under way in a task of its own, so that it can stay open on the server while its step waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from maestro_tools._process import within
from maestro_tools._questions import Ask, Question

_GOODBYE_S = 2.0
_CANCEL: Mapping[str, Any] = {"action": "cancel"}

T = TypeVar("T")


class OpenCall(Generic[T]):
    """A call that stops at each question until it is answered; what was `said` before is said again without asking.

    So a call that is made a second time, because the first one died with us, comes to the same point by itself.
    """

    def __init__(
        self, make: Callable[[Ask], Awaitable[T]], said: Sequence[tuple[str, Mapping[str, Any]]] = (), name: str = ""
    ) -> None:
        self._said = list(said)
        self._asked: asyncio.Queue[tuple[Question, asyncio.Future[Mapping[str, Any]]]] = asyncio.Queue()
        self._open: asyncio.Future[Mapping[str, Any]] | None = None
        self._task = asyncio.create_task(self._run(make), name=f"maestro-tools open call {name}")
        # A call that dies while its step waits is made again, and nobody asks why.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def is_over(self) -> bool:
        """Whether it can be answered no more."""
        return self._task.done()

    async def next(self) -> T | Question:
        """What the call comes to: its outcome, or the next question. Being cancelled ends the call."""
        asking = asyncio.create_task(self._asked.get())
        try:
            await asyncio.wait((self._task, asking), return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                return await self._task
            question, self._open = asking.result()
            return question
        except asyncio.CancelledError:
            await self.end()
            raise
        finally:
            asking.cancel()

    def answer(self, response: Mapping[str, Any]) -> None:
        """Answer the question that `next` gave."""
        if self._open is not None and not self._open.done():
            self._open.set_result(response)
        self._open = None

    async def end(self) -> None:
        """Tell the server that nobody answers its question, if it has one, then end the call; bounded."""
        if self._open is not None:
            self.answer(_CANCEL)
            await within(_GOODBYE_S, asyncio.wait([self._task]))
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, make: Callable[[Ask], Awaitable[T]]) -> T:
        return await make(self._ask)

    async def _ask(self, question: Question) -> dict[str, Any]:
        for index, (digest, response) in enumerate(self._said):
            if digest == question.digest:
                del self._said[index]
                return dict(response)
        answered: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait((question, answered))
        return dict(await answered)
