"""What belongs to the work in hand and not to one record: request id, trace ids, and other fields.

Everything lives in context variables: each asyncio task sees what was bound where it was made, and what it binds itself
is seen by no other. A new thread starts empty; wrap its function in carry_context().
"""

import functools
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from structlog.contextvars import bind_contextvars, reset_contextvars

from maestro_core_logging._trace import TraceContext, new_trace, parse_traceparent

P = ParamSpec("P")
R = TypeVar("R")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request: its id, and its span in the trace of the caller (or in a new one)."""

    request_id: str
    trace: TraceContext


_current: ContextVar[RequestContext | None] = ContextVar("maestro_request", default=None)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add these fields to every record that is logged inside, here and in what is awaited or started here."""
    tokens = bind_contextvars(**fields)
    try:
        yield
    finally:
        _reset(reset_contextvars, tokens)


@contextmanager
def request_context(
    *, request_id: str | None = None, traceparent: str | None = None, **fields: Any
) -> Iterator[RequestContext]:
    """Give every record inside `request_id`, `trace_id` and `span_id`, and these fields.

    Both arguments may come from a stranger's headers: a request id with odd characters or more than 128 of them, and a
    traceparent that is not valid, are replaced by new ones.
    """
    caller = parse_traceparent(traceparent)
    request = RequestContext(
        request_id if request_id and _REQUEST_ID.fullmatch(request_id) else uuid.uuid4().hex,
        caller.child() if caller is not None else new_trace(),
    )
    token = _current.set(request)
    ids = {"request_id": request.request_id, "trace_id": request.trace.trace_id, "span_id": request.trace.span_id}
    try:
        with bound(**{**fields, **ids}):
            yield request
    finally:
        _reset(lambda **tokens: _current.reset(tokens["token"]), {"token": token})


def current_request() -> RequestContext | None:
    """The request that this code works for; None outside of request_context()."""
    return _current.get()


def carry_context(function: Callable[P, R]) -> Callable[P, R]:
    """The function with the context of this moment, for threads: `Thread(target=carry_context(work))`.

    Each call gets a copy of its own, so it may run several times at once. asyncio.to_thread() does this by itself.
    """
    context = copy_context()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return carried


def _reset(reset: Callable[..., None], tokens: Any) -> None:
    try:
        reset(**tokens)
    except ValueError:  # left in another context than it was entered in: what was bound ended with that one
        return
