"""Metrics and traces of every workflow and step, made from the events that are stored."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from maestro_monitoring import WORK_S, HealthCheck, HealthChecks, Label, Metrics, TimedSpan
from maestro_workflow_engine import Event, ExecutionBackend

TRACEPARENT: Final = "maestro.traceparent"
"""The label under which a workflow keeps the trace that it was started in, so that it goes on after a crash."""

_STEP_ENDS: Final = {"step.succeeded": "succeeded", "step.failed": "failed", "step.cancelled": "cancelled"}
_WORKFLOW_ENDS: Final = {f"workflow.{status}": status for status in ("succeeded", "failed", "cancelled")}
_Key = tuple[str, int | None]
Probe = Callable[[], Awaitable[None]]
_NO_ACCOUNTS: Final[Mapping[str, Sequence[Probe]]] = MappingProxyType({})


@dataclass(slots=True)
class _Run:
    """What is known of one unfinished workflow."""

    kinds: Mapping[str, str]
    span: TimedSpan
    started_at: datetime
    steps: dict[_Key, tuple[datetime, TimedSpan]] = field(default_factory=dict)


class Observation:
    """Listens to events, and keeps what Prometheus and a trace collector are told.

    Counts begin with the process: events from before `since` are passed over.
    """

    def __init__(self, backend: ExecutionBackend, metrics: Metrics, *, since: datetime | None = None) -> None:
        self._backend = backend
        self._since = since or datetime.now(UTC)
        self._runs: dict[str, _Run] = {}
        outcome = Label("outcome", frozenset({"succeeded", "failed", "cancelled", "skipped"}))
        kind = Label("kind")
        self._started = metrics.counter("maestro_engine_workflows_started_total", "Workflows that began.")
        self._ended = metrics.counter(
            "maestro_engine_workflows_ended_total", "Workflows that ended.", labels=(outcome,)
        )
        self._workflow_s = metrics.histogram(
            "maestro_engine_workflow_duration_seconds", "From start to end.", labels=(outcome,), buckets=WORK_S
        )
        self._attempts = metrics.counter(
            "maestro_engine_step_attempts_total", "Attempts at steps and their items.", labels=(kind, outcome)
        )
        self._retries = metrics.counter(
            "maestro_engine_step_retries_total", "Failed attempts that are tried again.", labels=(kind,)
        )
        self._step_s = metrics.histogram(
            "maestro_engine_step_duration_seconds", "One attempt.", labels=(kind, outcome), buckets=WORK_S
        )
        self._running = metrics.gauge("maestro_engine_steps_running", "Attempts under way.", labels=(kind,))

    async def heard(self, event: Event) -> None:
        """Count one event."""
        if event.at < self._since:
            return
        if event.type == "workflow.started":
            self._started.inc()
        run = self._runs.get(event.workflow_id) or await self._known(event)
        if event.type in _WORKFLOW_ENDS:
            self._end(event, run)
        elif event.type == "step.started":
            self._begin_step(event, run)
        elif event.type in _STEP_ENDS:
            self._end_step(event, run, _STEP_ENDS[event.type])
        elif event.type == "step.skipped":
            self._attempts.labels(run.kinds.get(event.data["step"], "unknown"), "skipped").inc()

    async def _known(self, event: Event) -> _Run:
        """Begin to follow a workflow: at its start, or at the first event after the engine was started again."""
        definition = await self._backend.definition(event.workflow_id)
        kinds = {name: step.kind for name, step in definition.steps.items()}
        if event.type == "workflow.started":
            labels, started_at = event.data.get("labels") or {}, event.at
        else:
            state = await self._backend.get(event.workflow_id)
            labels, started_at = state.labels, state.started_at or event.at
        span = TimedSpan(
            f"workflow {definition.name}",
            started_at,
            parent=labels.get(TRACEPARENT),
            attributes={"maestro.workflow.id": event.workflow_id, "maestro.workflow.name": definition.name},
        )
        run = self._runs[event.workflow_id] = _Run(kinds, span, started_at)
        return run

    def _begin_step(self, event: Event, run: _Run) -> None:
        name, item = event.data["step"], event.data.get("item")
        if (name, item) in run.steps:
            return  # it goes on after a wait: the same attempt
        kind = run.kinds.get(name, "unknown")
        attributes: dict[str, str | int] = {
            "maestro.workflow.id": event.workflow_id,
            "maestro.step.id": name,
            "maestro.step.kind": kind,
            "maestro.step.attempt": event.data["attempt"],
        }
        if item is not None:
            attributes["maestro.step.item"] = item
        span = TimedSpan(f"step {name}", event.at, parent=run.span, attributes=attributes)
        run.steps[name, item] = (event.at, span)
        self._running.labels(kind).inc()

    def _end_step(self, event: Event, run: _Run, outcome: str) -> None:
        name, item = event.data["step"], event.data.get("item")
        kind = run.kinds.get(name, "unknown")
        if event.data.get("retry_at") is not None:
            self._retries.labels(kind).inc()
        begun = run.steps.pop((name, item), None)
        if begun is None:
            return  # a step that never ran, or the whole of a mapped one: its items were counted
        started_at, span = begun
        self._running.labels(kind).dec()
        self._attempts.labels(kind, outcome).inc()
        self._step_s.labels(kind, outcome).observe((event.at - started_at).total_seconds())
        span.end(event.at, error=_error_of(event.data))

    def _end(self, event: Event, run: _Run) -> None:
        status = _WORKFLOW_ENDS[event.type]
        self._ended.labels(status).inc()
        self._workflow_s.labels(status).observe((event.at - run.started_at).total_seconds())
        for (name, _), (_, span) in run.steps.items():
            self._running.labels(run.kinds.get(name, "unknown")).dec()
            span.end(event.at, error="the workflow ended")
        run.span.end(event.at, error=_error_of(event.data))
        del self._runs[event.workflow_id]


def _error_of(data: Mapping[str, Any]) -> str | None:
    """The code of an error: its message may hold what no trace should."""
    error = data.get("error")
    return str(error.get("code", "failed")) if isinstance(error, Mapping) else None


def engine_health(
    backend: ExecutionBackend, metrics: Metrics, accounts: Mapping[str, Sequence[Probe]] = _NO_ACCOUNTS
) -> HealthChecks:
    """Whether the engine can take work: one short read of its journal, and whoever keeps account of what it does."""

    async def journal() -> None:
        await backend.list(limit=1)

    def all_of(probes: Sequence[Probe]) -> Probe:
        async def asked() -> None:
            for probe in probes:
                await probe()

        return asked

    probes = {"journal": journal, **{name: all_of(each) for name, each in accounts.items()}}
    checks = [HealthCheck(name, probe, timeout_s=2.0, ttl_s=1.0) for name, probe in probes.items()]
    return HealthChecks(checks, deadline_s=2.5, metrics=metrics)
