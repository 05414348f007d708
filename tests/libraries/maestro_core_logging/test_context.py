"""Request and trace ids: where they come from, and which records have them."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_logging import (
    RequestContext,
    TraceContext,
    bound,
    carry_context,
    current_request,
    get_logger,
    new_trace,
    parse_traceparent,
    request_context,
)
from maestro_core_logging.testing import captured

log = get_logger("context")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEX = "0123456789abcdef"


def test_a_callers_trace_goes_on() -> None:
    """The trace id is the caller's, the span is new, and the sampling decision is kept."""
    with request_context(request_id="r-1", traceparent=f"00-{TRACE}-{SPAN}-00") as request, captured() as logged:
        log.info("x")

    assert (request.request_id, request.trace.trace_id, request.trace.sampled) == ("r-1", TRACE, False)
    assert request.trace.span_id != SPAN
    assert request.trace.traceparent == f"00-{TRACE}-{request.trace.span_id}-00"
    ids = {"request_id": "r-1", "trace_id": TRACE, "span_id": request.trace.span_id}
    assert {key: logged[0][key] for key in ids} == ids


def test_without_a_caller_a_trace_begins() -> None:
    """Ids are made up, and two requests never share them."""
    with request_context() as one, request_context() as two:
        assert current_request() == two

    assert parse_traceparent(one.trace.traceparent) == one.trace
    assert len({one.request_id, two.request_id, one.trace.trace_id, two.trace.trace_id}) == 4
    assert current_request() is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "garbage",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n{'x' * 10}",
        f"0٠-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01{'x' * 10}",
        f"01-{TRACE}-{SPAN}-01-{'x' * 300}",
    ],
)
def test_a_header_that_is_not_valid_is_no_header(header: str | None) -> None:
    """Nothing of it is used; a new trace begins."""
    assert parse_traceparent(header) is None
    with request_context(traceparent=header) as request:
        assert request.trace.trace_id != TRACE


@pytest.mark.parametrize("header", [f"00-{TRACE}-{SPAN}-01", f" 00-{TRACE}-{SPAN}-03 ", f"cc-{TRACE}-{SPAN}-01-later"])
def test_valid_headers(header: str) -> None:
    """Unknown flags and later versions are read for what is known of them."""
    assert parse_traceparent(header) == TraceContext(TRACE, SPAN, sampled=True)


@given(st.text(HEX, min_size=32, max_size=32), st.text(HEX, min_size=16, max_size=16), st.booleans())
def test_a_trace_survives_the_way_to_another_service(trace_id: str, span_id: str, sampled: bool) -> None:
    """Writing and reading a header gives the same span, for every valid one."""
    context = TraceContext(trace_id, span_id, sampled)
    valid = set(trace_id) != {"0"} and set(span_id) != {"0"}

    assert parse_traceparent(context.traceparent) == (context if valid else None)


@given(st.text(max_size=80))
def test_any_header_is_survived(header: str) -> None:
    """A stranger's header gives a valid span or none."""
    found = parse_traceparent(header)

    assert found is None or parse_traceparent(found.traceparent) == found


def test_ids_are_never_all_zero() -> None:
    """Zero means "no id", so randomness that gives it is asked again."""
    given_hex = iter(["0" * 32, TRACE, "0" * 16, SPAN])

    assert new_trace(lambda _size: next(given_hex)) == TraceContext(TRACE, SPAN)


@pytest.mark.parametrize("request_id", ["", "a b", "a\nb", "x" * 129, "<script>", "ü", "\x1b[31m", "a;b"])
def test_an_odd_request_id_is_replaced(request_id: str) -> None:
    """A stranger cannot put into the logs what he likes."""
    with request_context(request_id=request_id) as request:
        assert request.request_id != request_id
        assert len(request.request_id) == 32


def test_bound_fields_end_with_their_block() -> None:
    """Fields nest, the inner ones win, and what was bound before is back afterwards."""
    with captured() as logged:
        with bound(a=1, b=1):
            with bound(b=2):
                log.info("inner")
            log.info("outer", a="own")
        log.info("outside")

    assert [(record.get("a"), record.get("b")) for record in logged] == [(1, 2), ("own", 1), (None, None)]


async def test_tasks_do_not_see_each_others_context() -> None:
    """Two requests that run at once keep their own ids through every await."""
    both_inside = asyncio.Barrier(2)

    async def serve(request_id: str) -> None:
        with request_context(request_id=request_id):
            await both_inside.wait()
            log.info("served", expected=request_id)
            await asyncio.to_thread(log.info, "in a thread", expected=request_id)

    with captured() as logged:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(serve("r-1"))
            tasks.create_task(serve("r-2"))

    assert len(logged) == 4
    assert all(record["request_id"] == record["expected"] for record in logged)
    assert current_request() is None


async def test_a_task_has_the_context_in_which_it_was_made() -> None:
    """Work that is started inside goes on with its ids after the block has ended."""
    ended = asyncio.Event()

    async def work() -> None:
        await ended.wait()
        log.info("later")

    with captured() as logged:
        with request_context(request_id="r-1"):
            task = asyncio.create_task(work())
        ended.set()
        await asyncio.wait_for(task, 10)

    assert logged[0]["request_id"] == "r-1"


def test_threads_start_empty_unless_the_context_is_carried() -> None:
    """carry_context takes the ids along, also for many calls at once."""
    with captured() as logged:
        with request_context(request_id="r-1"):
            bare = threading.Thread(target=log.info, args=("bare",))
            carried = carry_context(log.info)
        bare.start()
        bare.join()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(carried, ["carried"] * 20))

    assert [record.get("request_id") for record in logged] == [None, *["r-1"] * 20]
    assert carried.__name__ == "info"


def test_leaving_in_another_context_is_survived() -> None:
    """A generator that is entered in one context and left in another, as frameworks do, raises nothing."""

    def serve() -> Generator[RequestContext, None, None]:
        with request_context(request_id="r-1") as request:
            yield request

    generator = serve()
    request = copy_context().run(next, generator)
    generator.close()

    assert request.request_id == "r-1"
    assert current_request() is None
