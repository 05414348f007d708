"""Health checks: each probe once at a time and once per ttl, under a deadline that nothing can stretch."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias

from maestro_monitoring._errors import InvalidCheck
from maestro_monitoring._metrics import Gauge, Metrics
from maestro_monitoring._reasons import reason_of

Probe: TypeAlias = Callable[[], Awaitable[None]]

_MAX_SECONDS = 3_600.0


class Status(StrEnum):
    """What a check found, or all of them together."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A probe that raises when something is unhealthy; when it is not `critical`, that is a warning only.

    A result is kept for `ttl_s` after its probe has ended. A probe that takes longer than `timeout_s` has failed.
    """

    name: str
    probe: Probe
    timeout_s: float = 2.0
    ttl_s: float = 5.0
    critical: bool = True

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 100 or not self.name.isprintable():
            raise InvalidCheck(f"the name of a check is 1 to 100 printable characters, got {self.name[:100]!r}")
        if not callable(self.probe):
            raise InvalidCheck(f"{self.name!r}: the probe is an async function without arguments")
        if not 0 < self.timeout_s <= _MAX_SECONDS or not 0 <= self.ttl_s <= _MAX_SECONDS:
            raise InvalidCheck(f"{self.name!r}: timeout_s is above 0, ttl_s not below, both at most {_MAX_SECONDS:g}")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found; `reason` is None when it passed, `last_success_at` None when it never did."""

    name: str
    status: Status
    critical: bool
    checked_at: datetime
    duration_s: float
    reason: str | None
    last_success_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "status": self.status.value,
            "critical": self.critical,
            "checked_at": self.checked_at.isoformat(),
            "duration_s": round(self.duration_s, 6),
            "reason": self.reason,
            "last_success_at": self.last_success_at.isoformat() if self.last_success_at else None,
        }


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All results; `ready` is False as soon as a critical check has failed."""

    results: tuple[CheckResult, ...]

    @property
    def status(self) -> Status:
        """The worst of all; what is not critical is at worst a warning."""
        statuses = {result.status for result in self.results}
        return next((status for status in (Status.FAIL, Status.WARN) if status in statuses), Status.PASS)

    @property
    def ready(self) -> bool:
        """Whether requests should come here."""
        return self.status is not Status.FAIL

    def as_json(self) -> dict[str, Any]:
        """The report as plain data, for the body of a readiness endpoint."""
        checks = {result.name: result.as_json() for result in self.results}
        return {"status": self.status.value, "ready": self.ready, "checks": checks}


@dataclass(frozen=True, slots=True)
class HealthClock:
    """Time for health checks: monotonic seconds, aware UTC, and a sleep that the deadlines wait for."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class HealthChecks:
    """Asks all checks at once; any number of askers share one run of each probe. For one event loop.

    An answer never takes longer than `deadline_s`: a check that has not answered by then has failed for this report,
    and its run goes on. Call `aclose` to end what still runs.
    """

    def __init__(
        self,
        checks: Iterable[HealthCheck],
        *,
        deadline_s: float = 3.0,
        metrics: Metrics | None = None,
        clock: HealthClock | None = None,
    ) -> None:
        listed = list(checks)
        if len({check.name for check in listed}) < len(listed):
            raise InvalidCheck(f"two checks share a name: {', '.join(check.name for check in listed)}")
        if not 0 < deadline_s <= _MAX_SECONDS:
            raise InvalidCheck(f"deadline_s is above 0 and at most {_MAX_SECONDS:g}, got {deadline_s}")
        self._deadline_s = deadline_s
        self._clock = clock or HealthClock()
        passing = health_gauge(metrics) if metrics is not None else None
        self._cells = [_Cell(check, self._clock, passing) for check in listed]

    async def report(self) -> HealthReport:
        """The state of all checks; a kept result is at most `ttl_s + timeout_s` old when the question comes."""
        asked = [(cell, cell.ask()) for cell in self._cells]
        runs = [answer for _, answer in asked if isinstance(answer, asyncio.Task)]
        if runs:
            await _wait(runs, self._deadline_s, self._clock)
        return HealthReport(tuple(self._told(cell, answer) for cell, answer in asked))

    def _told(self, cell: "_Cell", answer: CheckResult | asyncio.Task[CheckResult]) -> CheckResult:
        if isinstance(answer, CheckResult):
            return answer
        if not answer.done():
            return cell.failure(f"no answer within the {self._deadline_s:g} s of all checks")
        return cell.failure("the checks were closed") if answer.cancelled() else answer.result()

    async def aclose(self) -> None:
        """Cancel the probes that still run, and wait for them, but not for one that ignores it."""
        ending = [task for cell in self._cells for task in cell.tasks()]
        for task in ending:
            task.cancel()
        if ending:
            await _wait(ending, self._deadline_s, self._clock)


def health_gauge(metrics: Metrics) -> Gauge:
    """The gauge that shows each check."""
    return metrics.gauge("maestro_health_check_passing", "1 when the check passed at its last run.", labels=("check",))


class _Cell:
    """One check with its last result and the run that is under way, if any."""

    def __init__(self, check: HealthCheck, clock: HealthClock, passing: Gauge | None) -> None:
        self._check = check
        self._clock = clock
        self._passing = passing
        self._run: asyncio.Task[CheckResult] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._result: CheckResult | None = None
        self._fresh_until_s = 0.0
        self._begun_s = 0.0
        self._begun_at = clock.now()
        self._last_success_at: datetime | None = None

    def ask(self) -> CheckResult | asyncio.Task[CheckResult]:
        """The kept result while it is fresh, otherwise the one run that will tell."""
        if self._run is not None and not self._run.done():
            return self._run
        if self._result is not None and self._clock.monotonic() < self._fresh_until_s:
            return self._result
        if self._probing is not None:
            still_s = self._clock.monotonic() - self._begun_s
            return self.failure(f"does not end: {still_s:.1f} s, and {self._check.timeout_s:g} s are its limit")
        self._run = asyncio.create_task(self._once(), name=f"health {self._check.name}")
        return self._run

    def tasks(self) -> list[asyncio.Task[Any]]:
        """What is under way."""
        return [task for task in (self._run, self._probing) if task is not None and not task.done()]

    def failure(self, reason: str) -> CheckResult:
        """A result that says no."""
        return self._made(Status.FAIL if self._check.critical else Status.WARN, reason)

    async def _once(self) -> CheckResult:
        """One run of the probe, whatever it does."""
        self._begun_s, self._begun_at = self._clock.monotonic(), self._clock.now()
        probing = self._probing = asyncio.create_task(_call(self._check.probe), name=f"probe {self._check.name}")
        # Until the probe has really ended no other is begun, even if this one does not care to be cancelled.
        probing.add_done_callback(self._ended)
        try:
            await _wait([probing], self._check.timeout_s, self._clock)
            reason = _reason(probing) if probing.done() else f"no answer within {self._check.timeout_s:g} s"
            return self._keep(self._passed() if reason is None else self.failure(reason))
        finally:
            probing.cancel()

    def _ended(self, probing: asyncio.Task[None]) -> None:
        self._probing = None
        if not probing.cancelled():
            probing.exception()  # a failure after the deadline has been told as a timeout

    def _keep(self, result: CheckResult) -> CheckResult:
        self._result = result
        self._fresh_until_s = self._clock.monotonic() + self._check.ttl_s
        if self._passing is not None:
            self._passing.labels(self._check.name).set(1.0 if result.reason is None else 0.0)
        return result

    def _passed(self) -> CheckResult:
        self._last_success_at = self._clock.now()
        return self._made(Status.PASS, None)

    def _made(self, status: Status, reason: str | None) -> CheckResult:
        took_s = max(0.0, self._clock.monotonic() - self._begun_s)
        check = self._check
        return CheckResult(check.name, status, check.critical, self._begun_at, took_s, reason, self._last_success_at)


async def _call(probe: Probe) -> None:
    await probe()


def _reason(probing: asyncio.Task[None]) -> str | None:
    if probing.cancelled():
        return "the probe was cancelled"
    error = probing.exception()
    return None if error is None else reason_of(error)


async def _wait(tasks: Sequence[asyncio.Task[Any]], limit_s: float, clock: HealthClock) -> None:
    """Wait until all tasks have ended or the time is up; neither cancels them."""
    timer = asyncio.ensure_future(clock.sleep(limit_s))
    try:
        pending: set[asyncio.Future[Any]] = {task for task in tasks if not task.done()}
        while pending and not timer.done():
            await asyncio.wait({*pending, timer}, return_when=asyncio.FIRST_COMPLETED)
            pending = {task for task in pending if not task.done()}
    finally:
        timer.cancel()
