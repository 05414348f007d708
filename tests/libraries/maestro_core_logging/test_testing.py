"""The second door: captured records and the assertions on them."""

import logging

import pytest

from maestro_core_logging import EventSchema, get_logger
from maestro_core_logging.testing import assert_logged, assert_no_secret, assert_not_logged, captured

log = get_logger("maestro.testing")


def test_records_are_found_by_event_and_fields() -> None:
    """The first one that matches is given; what does not match is listed in the error."""
    with captured() as logged:
        log.info("testing.done", step="a", n=1)
        log.info("testing.done", step="b", n=None)

    assert assert_logged(logged, "testing.done", step="b")["n"] is None
    assert assert_logged(logged, "testing.done")["step"] == "a"
    assert_not_logged(logged, "testing.done", step="c")
    with pytest.raises(
        AssertionError, match=r"nothing was logged as 'testing.done' with \{'step': 'c'\}(.|\n)*'step': 'b'"
    ):
        assert_logged(logged, "testing.done", step="c")
    with pytest.raises(AssertionError, match="this was logged"):
        assert_not_logged(logged, "testing.done", step="a")
    with pytest.raises(AssertionError, match="nothing was logged"):
        assert_logged(logged, "testing.done", absent=None)


def test_levels_can_be_left_out() -> None:
    """All is captured by default, from every logger; a level leaves out what is below it."""
    with captured() as everything:
        logging.getLogger("third.party").debug("x")
    with captured(level="INFO") as some:
        logging.getLogger("third.party").debug("x")

    assert (len(everything), some) == (1, [])


def test_a_secret_that_was_logged_is_found_without_being_repeated() -> None:
    """In names, in values and deep inside; the error tells where."""
    with captured() as logged:
        log.info("x", plain={"deep": ["hunter2"]}, **{"name hunter2": 1})

    assert_no_secret(logged, "hunter3")
    with pytest.raises(AssertionError, match=r"record 0 shows the secret in \['plain', 'name …'\]") as error:
        assert_no_secret(logged, "hunter2")
    assert "hunter2" not in str(error.value)


def test_a_schema_can_be_enforced() -> None:
    """A test fails at its end when a record does not keep to the schema."""
    schema = EventSchema({"testing.done": {"step"}}, loggers=["maestro.testing"])

    with captured(schema=schema):
        log.info("testing.done", step=1)
    with pytest.raises(AssertionError, match="unknown fields: stepp"), captured(schema=schema):
        log.info("testing.done", stepp=1)


def test_an_error_inside_is_not_hidden_by_the_schema() -> None:
    """The test's own failure is the one that is reported."""
    schema = EventSchema({}, loggers=["maestro.testing"])

    def fail() -> None:
        with captured(schema=schema):
            log.info("unknown")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
