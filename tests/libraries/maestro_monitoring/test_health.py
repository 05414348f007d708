"""Health checks: single flight, deadlines that hold whatever a probe does, and reasons without secrets."""

import asyncio
import gc
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_monitoring import HealthCheck, HealthChecks, InvalidCheck, Metrics, Status
from maestro_monitoring.testing import FakeProbe, ManualClock, MetricsRecorder, ReadinessConformance, settle


class TestHealthChecksAreReadiness(ReadinessConformance):
    """What core-api asks of a readiness object holds for HealthChecks."""

    def make(self, probe: Any) -> HealthChecks:
        """One critical check."""
        return HealthChecks([HealthCheck("only", probe)])


async def test_a_thousand_askers_share_one_run_of_each_probe() -> None:
    """Also when they come one after another within the ttl; the next run comes after it."""
    clock, probe, other = ManualClock(), FakeProbe(), FakeProbe()
    checks = HealthChecks([HealthCheck("db", probe), HealthCheck("cache", other)], clock=clock.health)
    reports = await asyncio.gather(*(checks.report() for _ in range(1_000)))
    assert all(report.ready for report in reports)
    await clock.advance(4.9)
    assert (await checks.report()).ready
    assert (probe.calls, other.calls) == (1, 1)
    await clock.advance(0.2)
    assert (await checks.report()).ready
    assert (probe.calls, other.calls) == (2, 2)


async def test_the_worst_check_decides_and_one_that_is_not_critical_only_warns() -> None:
    """ready is False only when a critical check has failed."""
    good, bad = FakeProbe(), FakeProbe(error=OSError("disk full"))
    warned = await HealthChecks([HealthCheck("db", good), HealthCheck("disk", bad, critical=False)]).report()
    failed = await HealthChecks([HealthCheck("db", good), HealthCheck("disk", bad)]).report()
    assert (warned.status, warned.ready) == (Status.WARN, True)
    assert (failed.status, failed.ready) == (Status.FAIL, False)
    assert (await HealthChecks([]).report()).ready is True
    assert [result.reason for result in failed.results] == [None, "OSError: disk full"]


async def test_a_hanging_probe_fails_at_its_own_deadline() -> None:
    """It is cancelled, and the next run is a new call."""
    clock, probe = ManualClock(), FakeProbe(hangs=True)
    checks = HealthChecks([HealthCheck("db", probe, timeout_s=2.0, ttl_s=5.0)], clock=clock.health)
    asked = asyncio.create_task(checks.report())
    await clock.advance(1.9)
    assert not asked.done()
    await clock.advance(0.2)
    report = await asked
    assert report.results[0].reason == "no answer within 2 s"
    assert report.results[0].duration_s == 2.0
    assert probe.running == 0
    probe.release()
    await clock.advance(5.1)
    assert (await checks.report()).ready
    assert probe.calls == 2


async def test_all_checks_together_have_a_deadline_too() -> None:
    """A slow check has failed for this report only; its run goes on and tells the next one."""
    clock, slow, quick = ManualClock(), FakeProbe(hangs=True), FakeProbe()
    listed = [HealthCheck("slow", slow, timeout_s=60.0), HealthCheck("quick", quick)]
    checks = HealthChecks(listed, deadline_s=1.0, clock=clock.health)
    asked = asyncio.create_task(checks.report())
    await clock.advance(1.1)
    report = await asked
    assert [result.reason for result in report.results] == ["no answer within the 1 s of all checks", None]
    slow.release()
    await settle()
    assert (await checks.report()).ready
    assert slow.calls == 1


async def test_a_probe_that_ignores_its_cancellation_never_hangs_readiness_nor_runs_twice() -> None:
    """As long as it really runs, the answer is a failure at once, and no second call is begun."""
    clock, probe = ManualClock(), FakeProbe(hangs=True, ignores_cancellation=True)
    checks = HealthChecks([HealthCheck("db", probe)], clock=clock.health)
    asked = asyncio.create_task(checks.report())
    await clock.advance(2.1)
    assert (await asked).results[0].reason == "no answer within 2 s"
    for _ in range(3):
        await clock.advance(6.0)
        report = await checks.report()
        assert not report.ready
        assert "does not end" in str(report.results[0].reason)
    assert (probe.calls, probe.most_at_once) == (1, 1)
    probe.release()
    await settle()
    assert (await checks.report()).ready
    assert probe.calls == 2


async def test_a_failure_after_the_deadline_is_not_left_lying_about(caplog: pytest.LogCaptureFixture) -> None:
    """It has been told as a timeout; asyncio has nothing to complain about."""
    clock, probe = ManualClock(), FakeProbe(OSError("too late"), hangs=True, ignores_cancellation=True)
    checks = HealthChecks([HealthCheck("db", probe)], clock=clock.health)
    asked = asyncio.create_task(checks.report())
    await clock.advance(2.1)
    assert (await asked).results[0].reason == "no answer within 2 s"
    probe.release()
    await settle()
    gc.collect()
    assert (probe.running, caplog.text) == (0, "")


async def test_an_asker_that_goes_away_takes_nothing_from_the_others() -> None:
    """The run belongs to no one of them."""
    clock, probe = ManualClock(), FakeProbe(hangs=True)
    checks = HealthChecks([HealthCheck("db", probe)], clock=clock.health)
    impatient, patient = asyncio.create_task(checks.report()), asyncio.create_task(checks.report())
    await settle()
    impatient.cancel()
    await settle()
    probe.release()
    assert (await patient).ready
    assert impatient.cancelled()
    assert probe.calls == 1


async def test_a_probe_may_fail_in_any_way() -> None:
    """A cancellation of its own, a function that is not async, an error whose text raises: each is a failed check."""

    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError

    async def cancels() -> None:
        raise asyncio.CancelledError

    async def unprintable() -> None:
        raise Unprintable

    def not_async() -> None:
        return None

    probes = [cancels, unprintable, not_async]
    checks = HealthChecks([HealthCheck(probe.__name__, probe) for probe in probes])  # type: ignore[arg-type]  # on purpose
    reasons = [str(result.reason) for result in (await checks.report()).results]
    assert reasons[0] == "the probe was cancelled"
    assert reasons[1] == "Unprintable: (its text raised ValueError)"
    assert reasons[2].startswith("TypeError")


async def test_the_report_as_json_says_when_it_last_went_well() -> None:
    """Plain data with times in UTC; the reason is bounded and holds no secret."""
    clock, probe = ManualClock(), FakeProbe()
    checks = HealthChecks([HealthCheck("db", probe)], clock=clock.health)
    await checks.report()
    probe.error = ConnectionError("postgres://app:hunter2secret@db/shop " + "x" * 5_000)
    await clock.advance(10.0)
    told = json.loads(json.dumps((await checks.report()).as_json()))
    assert (told["status"], told["ready"]) == ("fail", False)
    assert told["checks"]["db"]["checked_at"] == "2026-01-01T00:00:10+00:00"
    assert told["checks"]["db"]["last_success_at"] == "2026-01-01T00:00:00+00:00"
    assert "postgres://***@db/shop" in told["checks"]["db"]["reason"]
    assert len(told["checks"]["db"]["reason"]) < 400


async def test_each_run_is_shown_as_a_metric() -> None:
    """1 for passed and 0 for failed, by check."""
    metrics, clock = Metrics(), ManualClock()
    probe = FakeProbe()
    checks = HealthChecks([HealthCheck("db", probe)], metrics=metrics, clock=clock.health)
    seen = MetricsRecorder(metrics)
    await checks.report()
    assert seen.delta("maestro_health_check_passing", check="db") == 1
    probe.error = OSError()
    await clock.advance(6)
    await checks.report()
    assert seen.delta("maestro_health_check_passing", check="db") == 0


async def test_closing_ends_what_runs_and_tells_those_who_wait() -> None:
    """The probe is cancelled; the waiting report says why."""
    probe = FakeProbe(hangs=True)
    checks = HealthChecks([HealthCheck("db", probe)])
    asked = asyncio.create_task(checks.report())
    await settle()
    await checks.aclose()
    assert (await asked).results[0].reason in ("the checks were closed", "the probe was cancelled")
    assert probe.running == 0


async def test_checks_that_were_closed_before_they_began_can_be_asked_again() -> None:
    """A run that was cancelled before its first step leaves nothing behind."""
    probe = FakeProbe()
    checks = HealthChecks([HealthCheck("db", probe)])
    asked = asyncio.create_task(checks.report())
    await asyncio.sleep(0)
    await checks.aclose()
    assert (await asked).results[0].reason == "the checks were closed"
    assert probe.calls == 0
    assert (await checks.report()).ready


@pytest.mark.parametrize(
    "parameters",
    [
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x" * 101},
        {"timeout_s": 0},
        {"timeout_s": math.nan},
        {"ttl_s": -1},
        {"ttl_s": math.inf},
        {"probe": "no function"},
    ],
)
def test_bad_parameters_are_refused_when_the_check_is_made(parameters: dict[str, Any]) -> None:
    """Not in the middle of the night."""
    with pytest.raises(InvalidCheck):
        HealthCheck(**{"name": "db", "probe": FakeProbe(), **parameters})


def test_two_checks_of_one_name_and_a_bad_deadline_are_refused() -> None:
    """One of two would be shown under the name of both."""
    with pytest.raises(InvalidCheck, match="db, db"):
        HealthChecks([HealthCheck("db", FakeProbe()), HealthCheck("db", FakeProbe())])
    with pytest.raises(InvalidCheck, match="deadline_s"):
        HealthChecks([], deadline_s=0)


_STEP = st.tuples(st.sampled_from(["ask", "pass", "fail", "hang", "deaf", "release"]), st.floats(0.0, 8.0))


@given(st.lists(_STEP, max_size=25), st.floats(0.0, 6.0), st.floats(0.5, 3.0))
def test_no_history_of_probes_yields_a_stale_answer_or_two_runs_at_once(
    steps: list[tuple[str, float]], ttl_s: float, timeout_s: float
) -> None:
    """Whatever probes do and whoever asks when: answers are in time and young, and probes run once per ttl at most."""

    async def run() -> None:
        clock, probe, called_s = ManualClock(), FakeProbe(), [-10.0]

        async def timed() -> None:
            assert clock.monotonic() - called_s[-1] >= ttl_s
            called_s.append(clock.monotonic())
            await probe()

        check = HealthCheck("db", timed, timeout_s=timeout_s, ttl_s=ttl_s)
        checks = HealthChecks([check], deadline_s=2.0, clock=clock.health)
        asked: list[tuple[float, asyncio.Task[Any]]] = []
        for action, wait_s in steps:
            if action == "ask":
                asked.append((clock.monotonic(), asyncio.create_task(checks.report())))
            elif action == "release":
                probe.release()
            else:
                probe.error = OSError("no") if action == "fail" else None
                probe.hangs = action in ("hang", "deaf")
                probe.ignores_cancellation = action == "deaf"
            await clock.advance(wait_s)
            for at_s, task in asked:
                assert task.done() or clock.monotonic() - at_s <= 2.0 + 1e-6
                if task.done():
                    age_s = at_s - (task.result().results[0].checked_at - clock._start).total_seconds()
                    is_hung = "does not end" in str(task.result().results[0].reason)
                    assert is_hung or age_s <= ttl_s + timeout_s + 1e-6
            assert probe.most_at_once <= 1
            assert probe.calls == len(called_s) - 1
        probe.release()
        await clock.advance(10.0)
        await checks.aclose()

    asyncio.run(run())
