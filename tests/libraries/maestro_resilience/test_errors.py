"""The tree of errors: codes, retryability, and what survives copying."""

import copy
import pickle

import pytest

import maestro_resilience
from maestro_resilience import CircuitOpen, InvalidPolicy, Problem, ResilienceError, ResultRejected, Retry

ERRORS = sorted(
    (
        value
        for value in vars(maestro_resilience).values()
        if isinstance(value, type) and issubclass(value, ResilienceError)
    ),
    key=lambda error: error.__name__,
)


def test_every_error_has_a_code_of_its_own() -> None:
    """Codes are stable names below `resilience`, no two alike."""
    codes = [error.code for error in ERRORS]
    assert len(ERRORS) > 10
    assert len(set(codes)) == len(codes)
    assert all(code == "resilience" or code.startswith("resilience.") for code in codes)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_drawn_tree_is_the_tree(error: type[ResilienceError]) -> None:
    """The drawing at the top of the module names each class with its code, and says which are retryable."""
    drawing = maestro_resilience._errors.__doc__ or ""
    line = next(line for line in drawing.splitlines() if f" {error.__name__} " in line)
    assert error.code in line.split()
    assert ("retryable" in line) is error.retryable


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_survive_pickling(error: type[ResilienceError]) -> None:
    """An error crosses process boundaries with message and fields."""
    made = error("what happened")
    made.retry_after_s = 1.5
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert type(again) is error
        assert str(again) == "what happened"
        assert again.retry_after_s == 1.5


def test_fields_survive_pickling() -> None:
    """Fields of single classes travel too."""
    assert pickle.loads(pickle.dumps(CircuitOpen("open", retry_after_s=2.0))).retry_after_s == 2.0
    assert pickle.loads(pickle.dumps(ResultRejected("no", result=[1]))).result == [1]
    problem = Problem("rate", "must be lower")
    assert pickle.loads(pickle.dumps(InvalidPolicy("bad", problems=(problem,)))).problems == (problem,)


def test_one_construction_tells_every_problem() -> None:
    """A constructor with three bad parameters names all three."""
    with pytest.raises(InvalidPolicy) as caught:
        Retry(on=int, max_attempts=0, jitter=2.0)  # type: ignore[arg-type]  # the bad input under test
    assert [problem.path for problem in caught.value.problems] == ["on", "max_attempts", "jitter"]
    assert "max_attempts must be a whole number from 1" in str(caught.value)
    assert isinstance(caught.value, ValueError)
