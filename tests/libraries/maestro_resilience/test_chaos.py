"""Chaos: off by default, at its rate when on, the same in every run with a seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import Chaos, ChaosInjected, InjectedFault, Pipeline, Retry
from maestro_resilience.testing import ManualClock, Recorder, seeded


def test_it_is_off_until_enabled() -> None:
    """Even at rate 1 nothing happens before `enabled`, which can be set and unset at any time."""
    chaos = Chaos(1.0, fault=InjectedFault, clock=ManualClock())
    assert chaos.call(len, "abc") == 3
    chaos.enabled = True
    with pytest.raises(InjectedFault):
        chaos.call(len, "abc")
    chaos.enabled = False
    assert chaos.call(len, "abc") == 3


async def test_faults_latency_and_outcomes() -> None:
    """A strike waits, raises or answers as told, sync and async; listeners hear what struck."""
    clock, recorder = ManualClock(0.0), Recorder()

    async def work(text: str) -> int:
        return len(text)

    def chaos(**what: object) -> Chaos:
        return Chaos(1.0, enabled=True, clock=clock, listeners=[recorder], **what)  # type: ignore[arg-type]  # what is given by name below

    slow = chaos(latency_s=2.0)
    assert (slow.call(len, "abc"), await slow.acall(work, "abc"), clock.now_s()) == (3, 3, 4.0)
    odd = chaos(outcome=None)
    assert [odd.call(len, "abc"), await odd.acall(work, "abc")] == [None, None]
    broken = chaos(fault=lambda: OSError("unplugged"), latency_s=1.0)
    with pytest.raises(OSError, match="unplugged"):
        broken.call(len, "abc")
    with pytest.raises(OSError, match="unplugged"):
        await broken.acall(work, "abc")
    assert clock.now_s() == 6.0
    struck = [event.what for event in recorder.of(ChaosInjected)]
    assert struck == [("latency",)] * 2 + [("outcome",)] * 2 + [("latency", "fault")] * 2


def _strikes(rate: float, seed: int, calls: int) -> list[bool]:
    chaos = Chaos(rate, outcome="struck", enabled=True, random=seeded(seed), clock=ManualClock())
    return [chaos.call(str) == "struck" for _ in range(calls)]


@given(st.floats(0, 1), st.integers(0, 1000))
def test_a_seed_repeats_the_same_strikes(rate: float, seed: int) -> None:
    """The same seed strikes the same calls, and a higher rate strikes those and more."""
    strikes = _strikes(rate, seed, 50)
    assert strikes == _strikes(rate, seed, 50)
    higher = _strikes(min(1.0, rate * 1.5), seed, 50)
    assert all(struck or not before for struck, before in zip(higher, strikes, strict=True))


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
def test_the_rate_is_kept(rate: float) -> None:
    """Over many calls the share of strikes is close to the rate; 0 and 1 are exact."""
    struck = sum(_strikes(rate, 1, 4000)) / 4000
    assert struck == pytest.approx(rate, abs=0.03 if 0 < rate < 1 else 0)
    smallest = Chaos(rate, outcome="struck", enabled=True, random=lambda: 0.0, clock=ManualClock())
    assert (smallest.call(str) == "struck") is (rate > 0)


def test_inside_a_pipeline_it_plays_the_callee() -> None:
    """A retry around chaos gets through a callee that fails half of the time."""
    clock = ManualClock()
    chaos = Chaos(0.5, fault=InjectedFault, enabled=True, random=seeded(3), clock=clock)
    pipeline = Pipeline(Retry(on=InjectedFault, max_attempts=12, clock=clock), chaos)
    assert [pipeline.call(str, number) for number in range(50)] == [str(number) for number in range(50)]
