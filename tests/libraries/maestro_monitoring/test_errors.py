"""The errors: one tree, a code each, and whether a retry helps."""

import pytest

import maestro_monitoring
from maestro_monitoring import InvalidSLO, LoopStuck, MonitoringError, Problem

ERRORS = [
    value
    for value in vars(maestro_monitoring).values()
    if isinstance(value, type) and issubclass(value, MonitoringError) and value is not MonitoringError
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error.__name__))
def test_every_error_has_a_code_of_its_own(error: type[MonitoringError]) -> None:
    """`monitoring.what-is-wrong`; only the one about a moment is worth a retry."""
    assert error.code.startswith("monitoring.")
    assert [other for other in ERRORS if other.code == error.code] == [error]
    assert error.retryable is (error is LoopStuck)


def test_problems_are_shown_with_their_paths() -> None:
    """All of them, in one text."""
    error = InvalidSLO([Problem("/name", "is missing"), Problem("", "is no object")])
    assert str(error) == "/name: is missing; /: is no object"
    assert isinstance(error, ValueError)
