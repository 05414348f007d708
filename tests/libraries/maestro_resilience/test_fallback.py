"""Fallback: a second answer for named failures only."""

import pytest

from maestro_resilience import CircuitOpen, Fallback, FallbackUsed, ResultRejected, WrongCall
from maestro_resilience.testing import ManualClock, Recorder


def _fail(error: Exception) -> str:
    raise error


async def _afail(error: Exception) -> str:
    raise error


async def test_a_value_answers_for_named_failures() -> None:
    """Named exceptions become the value, sync and async; listeners hear of each."""
    recorder = Recorder()
    fallback = Fallback(on=OSError, value="cached", clock=ManualClock(), listeners=[recorder])
    error = OSError()
    assert fallback.call(_fail, error) == "cached"
    assert await fallback.acall(_afail, error) == "cached"
    assert [event.error for event in recorder.of(FallbackUsed)] == [error, error]
    assert fallback.call(str, 3) == "3"
    with pytest.raises(KeyError):
        fallback.call(_fail, KeyError())
    with pytest.raises(KeyError):
        await fallback.acall(_afail, KeyError())


async def test_a_function_answers_with_the_error_at_hand() -> None:
    """`use` gets the exception; under `acall` it may be async."""

    async def ause(error: Exception) -> str:
        return f"async {error}"

    fallback = Fallback(on=CircuitOpen, use=lambda error: f"sync {error}")
    assert fallback.call(_fail, CircuitOpen("open")) == "sync open"
    assert await fallback.acall(_afail, CircuitOpen("open")) == "sync open"
    assert await Fallback(on=CircuitOpen, use=ause).acall(_afail, CircuitOpen("open")) == "async open"
    with pytest.raises(WrongCall):
        Fallback(on=CircuitOpen, use=ause).call(_fail, CircuitOpen("open"))


async def test_results_can_be_replaced() -> None:
    """A result for which `on_result` holds is replaced; `use` finds it in the error."""
    seen: list[object] = []

    def use(error: Exception) -> int:
        assert isinstance(error, ResultRejected)
        seen.append(error.result)
        return 0

    async def answer(number: int) -> int:
        return number

    fallback = Fallback(on=OSError, use=use, on_result=lambda result: result < 0)
    assert [fallback.call(int, text) for text in ("3", "-3")] == [3, 0]
    assert [await fallback.acall(answer, number) for number in (3, -4)] == [3, 0]
    assert seen == [-3, -4]


def test_an_error_of_the_fallback_shows_both() -> None:
    """When `use` fails too, its error reaches the caller with the first one as context."""
    missing: dict[int, int] = {}
    first = OSError("first")
    with pytest.raises(KeyError) as caught:
        Fallback(on=OSError, use=lambda error: missing[0]).call(_fail, first)
    assert caught.value.__context__ is first
