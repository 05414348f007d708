"""Calls of blocking functions that may never return."""

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from typing import Any


async def in_own_thread(function: Callable[[], object], name: str) -> object:
    """Call it in a thread of its own: one that never returns blocks no other call, and no exit of the process."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[object] = loop.create_future()
    context = contextvars.copy_context()

    def settle(set_outcome: Callable[[Any], None], value: object) -> None:
        if not outcome.done():
            set_outcome(value)

    def call() -> None:
        try:
            result = context.run(function)
        except BaseException as error:
            if isinstance(error, StopIteration):  # a future refuses to carry it
                error = RuntimeError("the function raised StopIteration")
            report = functools.partial(settle, outcome.set_exception, error)
        else:
            report = functools.partial(settle, outcome.set_result, result)
        if not loop.is_closed():
            loop.call_soon_threadsafe(report)

    threading.Thread(target=call, name=name, daemon=True).start()
    return await outcome
