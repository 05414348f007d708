"""The one shape of all records, whoever logs them."""

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from maestro_core_logging import EventSchema, bound, get_logger, request_context
from maestro_core_logging.testing import assert_logged, captured

Read = Callable[..., list[dict[str, Any]]]
log = get_logger("maestro.records")


def test_the_shape_of_a_record(records: Read) -> None:
    """Frame first, then ids, context, bound and given fields; time in UTC with microseconds."""

    def work() -> None:
        with request_context(request_id="r-1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01", tenant="t"):
            log.bind(step="build").info("records.finished", attempt=2, ok=True, size_bytes=None)

    before = datetime.now(UTC)
    (record,) = records(work, fields={"service": "engine"})

    assert list(record) == [
        *("timestamp", "level", "logger", "event", "service", "request_id", "trace_id", "span_id", "tenant"),
        *("step", "attempt", "ok", "size_bytes"),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["timestamp"])
    assert 0 <= (datetime.fromisoformat(record["timestamp"]) - before).total_seconds() < 10
    assert (record["level"], record["logger"], record["event"]) == ("info", "maestro.records", "records.finished")
    assert (record["request_id"], record["trace_id"], record["service"]) == ("r-1", "a" * 32, "engine")
    assert (record["attempt"], record["ok"], record["size_bytes"]) == (2, True, None)


def test_all_ways_of_logging_have_that_shape(records: Read) -> None:
    """Our logger, structlog's, and the standard library's give the same record."""

    def work() -> None:
        with bound(tenant="t"):
            get_logger("same").warning("event %s", "x", field=1)
            structlog.get_logger("same").warning("event %s", "x", field=1)
            logging.getLogger("same").warning("event %s", "x", extra={"field": 1})

    ours, structlogs, standard = records(work)

    for record in (ours, structlogs, standard):
        del record["timestamp"]
    expected = {"level": "warning", "logger": "same", "event": "event x", "tenant": "t", "field": 1}
    assert ours == structlogs == standard == expected


def test_a_structlog_logger_without_a_name_is_named_after_its_module(records: Read) -> None:
    """As with structlog's own factory for the standard library."""
    (record,) = records(lambda: structlog.get_logger().info("x"))

    assert record["logger"] == __name__


async def test_structlogs_own_methods_stay() -> None:
    """Programs that use structlog keep all that its loggers can do, and their records have our shape."""
    with captured() as logged:
        logger = structlog.get_logger("own").bind(password="hunter2")
        logger.warn("a %s", "b", n=1)
        logger.fatal("x")
        await logger.ainfo("async")
        try:
            raise ValueError("x")
        except ValueError:
            logger.exception("failed")

    assert [(record["level"], record["event"]) for record in logged] == [
        ("warning", "a b"),
        ("critical", "x"),
        ("info", "async"),
        ("error", "failed"),
    ]
    assert all(record["password"] == "[redacted]" for record in logged)
    assert logged[3]["exception"]["type"] == "builtins.ValueError"
    assert logger.name == "own"
    assert "positional_args" not in logged[0]


def test_every_level_has_its_method(records: Read) -> None:
    """Levels are lower case; an unknown number keeps the standard library's name for it."""

    def work() -> None:
        log.debug("x")
        log.info("x")
        log.warning("x")
        log.error("x")
        log.critical("x")
        log.log(25, "x")

    levels = [record["level"] for record in records(work)]

    assert levels == ["debug", "info", "warning", "error", "critical", "level 25"]
    assert log.is_enabled_for(logging.CRITICAL) is True


def test_fields_may_have_any_name(records: Read) -> None:
    """Names of parameters and of the frame are no trap; what the frame uses gets an underscore."""
    fields = {"event": 1, "level": 2, "timestamp": 3, "logger": 4, "exception": 5, "stack": 6, "self": 7, "args": 8}

    (record,) = records(lambda: log.info("x", **fields, name="n", msg="m", method_name="get"))

    assert (record["event"], record["level"], record["logger"]) == ("x", "info", "maestro.records")
    assert [record[f"{name}_"] for name in list(fields)[:6]] == [1, 2, 3, 4, 5, 6]
    assert (record["self"], record["args"], record["name"], record["method_name"]) == (7, 8, "n", "get")


def test_wrong_arguments_of_a_message_lose_nothing(records: Read) -> None:
    """A message that cannot be formatted is written as it is, beside its arguments."""

    def work() -> None:
        logging.getLogger("std").error("%d items", "many", extra={"kept": 1})
        log.error("%s and %s", "one")

    first, second = records(work)

    assert (first["event"], first["args"], first["format_error"], first["kept"]) == (
        "%d items",
        ["many"],
        "TypeError",
        1,
    )
    assert (second["event"], second["args"]) == ("%s and %s", ["one"])


def test_a_message_need_not_be_text(records: Read) -> None:
    """Objects are written as their text, also one whose text fails."""

    class Bad:
        def __str__(self) -> str:
            raise ValueError("no")

    def work() -> None:
        logging.getLogger("std").info({"a": 1})
        log.info(Bad())
        logging.getLogger("std").info(None)

    assert [record["event"] for record in records(work)] == ["{'a': 1}", "<Bad that fails with ValueError>", "None"]


def test_an_exception_has_type_message_code_and_traceback(records: Read) -> None:
    """The stable code of an error is kept; causes and notes are in the traceback, local variables are not."""

    class StepFailed(Exception):
        code = "workflow.step-failed"

    def work() -> None:
        local = "value-of-a-local-variable"
        try:
            try:
                raise KeyError("cause")
            except KeyError as error:
                failed = StepFailed("it failed")
                failed.add_note("and a note")
                raise failed from error
        except StepFailed:
            log.exception("records.failed", used=len(local))

    (record,) = records(work)
    exception = record["exception"]

    assert exception["type"].endswith("StepFailed")
    assert (exception["message"], exception["code"], record["level"]) == ("it failed", "workflow.step-failed", "error")
    assert "KeyError: 'cause'" in exception["traceback"]
    assert "and a note" in exception["traceback"]
    assert "test_records.py" in exception["traceback"]
    assert "value-of-a-local-variable'" not in exception["traceback"]


@pytest.mark.parametrize("given", [True, "instance", "tuple"])
def test_exc_info_may_be_given_in_each_way_of_the_standard_library(records: Read, given: Any) -> None:
    """True for the exception in hand, an exception, or a tuple of sys.exc_info()."""

    def work() -> None:
        try:
            raise ValueError("x")
        except ValueError as error:
            way: Any = {"instance": error, "tuple": (ValueError, error, error.__traceback__)}.get(given, given)
            log.error("failed", exc_info=way)
            logging.getLogger("std").error("failed", exc_info=way)

    for record in records(work):
        assert record["exception"]["type"] == "builtins.ValueError"


def test_no_exception_is_no_field(records: Read) -> None:
    """exc_info outside of a handler adds nothing."""
    (record,) = records(lambda: log.error("x", exc_info=True))

    assert "exception" not in record


def test_the_stack_can_be_asked_for(records: Read) -> None:
    """stack_info adds where the call came from, and a record names the caller's own line."""
    (record,) = records(lambda: log.info("x", stack_info=True))

    assert "test_the_stack_can_be_asked_for" in record["stack"]


def test_a_record_names_the_callers_line() -> None:
    """Other handlers see the caller's function, not ours, and a readable message."""
    seen: list[logging.LogRecord] = []

    class Other(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    logger = logging.getLogger("maestro.records")
    handler = Other()
    logger.addHandler(handler)
    try:
        with captured():
            log.warning("event %s", "x", field=1)
            structlog.get_logger("maestro.records").warning("event %s", "x", field=1)
    finally:
        logger.removeHandler(handler)

    assert [record.funcName for record in seen] == ["test_a_record_names_the_callers_line"] * 2
    assert [record.getMessage() for record in seen] == ["event x"] * 2


def test_a_schema_marks_what_it_does_not_know(records: Read) -> None:
    """Unknown events and fields are marked and still written; other loggers and bound context are left alone."""
    schema = EventSchema({"engine.started": {"port"}}, loggers=["maestro"])

    def work() -> None:
        with bound(tenant="t"):
            log.info("engine.started", port=1)
            log.info("engine.startd", port=1)
            log.info("engine.started", prot=1, host="h")
            get_logger("maestrox").info("anything", x=1)
            logging.getLogger("maestro.std").info("free text")

    problems = [record.get("schema_problem") for record in records(work, schema=schema)]

    assert problems == [None, "unknown event", "unknown fields: host, prot", None, None]


def test_binding_makes_a_new_logger(records: Read) -> None:
    """bind, unbind and new leave the logger that they are called on as it was."""
    first = get_logger("b", a=1)

    def work() -> None:
        second = first.bind(b=2)
        second.info("x")
        second.unbind("a").info("x")
        first.info("x")

    fields = [{key: record[key] for key in ("a", "b") if key in record} for record in records(work)]
    assert fields == [{"a": 1, "b": 2}, {"b": 2}, {"a": 1}]


def test_uvicorns_access_records_get_fields(records: Read) -> None:
    """The five arguments of an access record become fields, with secrets in the query masked."""

    def work() -> None:
        logging.getLogger("uvicorn.access").info(
            '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", "/x?access_token=hunter2&a=1", "1.1", 200
        )

    (record,) = records(work)

    assert record["event"] == "uvicorn.access"
    assert (record["client"], record["method"], record["http_version"], record["status"]) == (
        "127.0.0.1:5",
        "GET",
        "1.1",
        200,
    )
    assert record["path"] == "/x?access_token=[redacted]"


def test_captured_records_are_what_would_be_written() -> None:
    """The testing door shows records after cleaning."""
    with captured() as logged:
        log.info("records.done", password="x", n=1)

    assert assert_logged(logged, "records.done", n=1)["password"] == "[redacted]"
