"""For tests: a manual clock, probes that fail or hang, metrics as deltas, spans in memory, a conformance suite."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from maestro_monitoring._contract import Contract, series_of
from maestro_monitoring._health import HealthClock
from maestro_monitoring._metrics import Metrics
from maestro_monitoring._tracing import using_provider

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class ManualClock:
    """Time that stands still until `advance`; `health` is this clock as HealthChecks takes it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self.health = HealthClock(self.monotonic, self.now, self.sleep)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._now_s

    def now(self) -> datetime:
        """The start plus the seconds that were advanced, in UTC."""
        return self._start + timedelta(seconds=self._now_s)

    async def sleep(self, delay_s: float) -> None:
        """Wait until the clock was advanced by so much."""
        woken = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now_s + delay_s, self._count, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its moment and letting it run before the next."""
        until_s = self._now_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until_s:
            at_s, _, woken = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, at_s)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._now_s = until_s


async def settle(turns: int = 20) -> None:
    """Give every task that can run the chance to do so."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass
class FakeProbe:
    """A probe that does as told: pass, raise `error`, hang until `release()`, or hang and not care to be cancelled."""

    error: Exception | None = None
    hangs: bool = False
    ignores_cancellation: bool = False
    calls: int = 0
    running: int = 0
    most_at_once: int = 0
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        self.calls += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            while self.hangs and not self._released.is_set():
                await self._hang()
            await asyncio.sleep(0)
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error

    async def _hang(self) -> None:
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            if not self.ignores_cancellation:
                raise

    def release(self) -> None:
        """Let every call that hangs go on."""
        self._released.set()


class MetricsRecorder:
    """Reads what a registry counts, as differences since this recorder was made or `reset`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._before: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.reset()

    def reset(self) -> None:
        """Count from here on."""
        self._before = self._samples()

    def delta(self, series: str, **labels: str) -> float:
        """By how much the series of these labels has changed, summed over all other labels; 0 when there is none."""
        known = series_of(self._metrics.contract())
        if series not in known or not labels.keys() <= known[series]:
            raise AssertionError(f"{series} with {sorted(labels)} is not in the contract: {sorted(known)}")
        wanted = set(labels.items())
        changes = (
            value - self._before.get(key, 0.0)
            for key, value in self._samples().items()
            if key[0] == series and wanted <= key[1]
        )
        return sum(changes)

    def changed(self, series: str) -> dict[tuple[str, ...], float]:
        """Each changed series of one name: label values in the order of their names, and by how much."""
        found = {}
        for key, value in self._samples().items():
            if key[0] == series and (change := value - self._before.get(key, 0.0)):
                found[tuple(value for _, value in sorted(key[1]))] = change
        return found

    def _samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for metric in self._metrics.registry.collect()
            for sample in metric.samples
        }


def assert_contract_kept(before: Contract, after: Contract) -> None:
    """Fail when a metric, a label or a bucket that users rely on is gone or has changed; new metrics are welcome."""
    now = {metric["name"]: metric for metric in after["metrics"]}
    broken = [f"{m['name']}: was {m}, is {now.get(m['name'])}" for m in before["metrics"] if now.get(m["name"]) != m]
    if broken:
        raise AssertionError("the metric contract is broken:\n" + "\n".join(broken))


class SpanRecorder:
    """Keeps ended spans in memory: those of the block that it is entered for, and of all that gets its `provider`.

    Needs the extra `otlp`.
    """

    def __init__(self) -> None:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self._exporter = InMemorySpanExporter()
        self.provider: TracerProvider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._using = using_provider(self.provider)

    def __enter__(self) -> "SpanRecorder":
        self._using.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._using.__exit__(None, None, None)

    @property
    def spans(self) -> "list[ReadableSpan]":
        """What has ended, in that order."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> "ReadableSpan":
        """The one span of that name."""
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans are named {name!r}, of {[span.name for span in self.spans]}")
        return found[0]


class ReadinessConformance:
    """What core-api asks of a readiness object; subclass it in a test module and make one from a probe.

    `make(probe)` returns an object whose `report()` is ready exactly when the probe does not raise.
    """

    def make(self, probe: Callable[[], Awaitable[None]]) -> Any:
        """An object under test with this one critical probe."""
        raise NotImplementedError

    async def test_it_is_ready_when_its_probe_passes(self) -> None:
        """`ready` is True, and the JSON says so."""
        report = await self.make(FakeProbe()).report()
        assert report.ready is True
        assert report.as_json()["ready"] is True

    async def test_it_is_not_ready_when_its_probe_raises(self) -> None:
        """`ready` is False, and the reason is in the JSON, without the secret that it held."""
        report = await self.make(FakeProbe(ConnectionError("redis://user:hunter2secret@cache:6379 refused"))).report()
        assert report.ready is False
        assert "cache:6379 refused" in str(report.as_json())
        assert "hunter2secret" not in str(report.as_json())


__all__ = [
    "FakeProbe",
    "ManualClock",
    "MetricsRecorder",
    "ReadinessConformance",
    "SpanRecorder",
    "assert_contract_kept",
    "settle",
]
