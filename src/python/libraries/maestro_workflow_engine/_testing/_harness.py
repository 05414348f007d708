"""Runs workflows for tests: time is skipped, steps are stubbed, recorded or spoiled, people answer at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._backend import EmbeddedBackend
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds import builtin_step_kinds
from maestro_workflow_engine._ports import Cause, Clock, StepKind
from maestro_workflow_engine._state import WorkflowState
from maestro_workflow_engine._testing._cassette import Cassette
from maestro_workflow_engine._testing._clock import ManualClock
from maestro_workflow_engine._testing._spoiled import Spoiled, Stub, StubbedKind, faults_of

_PATIENCE_S: Final = 30.0
_LOOK_AGAIN_S: Final = 0.02
_STUCK_AFTER_S: Final = 1.0
"""In real time: how soon a timer is found that was set while nobody looked, and when it is clear that none will be."""
_AT_WORK: Final = frozenset({"running", "turn"})
OpenBackend: TypeAlias = Callable[[Path, Mapping[str, StepKind], Clock], ExecutionBackend]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a workflow ended, everything that happened to it, and how long that would have taken."""

    state: WorkflowState
    events: list[Event]
    took: timedelta
    not_idempotent: tuple[str, ...] = ()
    """Steps that gave something else when they were called twice with the same idempotency key."""

    @property
    def status(self) -> str:
        """`succeeded`, `failed` or `cancelled`."""
        return self.state.status

    @property
    def outputs(self) -> JSON:
        """The outputs of the workflow."""
        outputs: Any = self.state.outputs
        return outputs  # type: ignore[no-any-return]  # JSON, or a reference that a test asks the backend for

    def output(self, step: str) -> Any:
        """What a step gave."""
        return self.state.steps[step].output


@dataclass
class WorkflowHarness:
    """An engine for tests on an empty folder.

    `stubs` gives results in place of steps, by step id: a value, an exception, a function of the call, or a `list` of
    these, one per attempt. `answers` are given to approvals and other questions by step id, `signals` as
    (seconds after the start, name, payload). `cassette` records what steps gave, or plays it. `faults` is a flag like
    `"pay:fail=2; *:delay_s=3600; send:crash=1; send:twice"`. What is due next comes as soon as nothing else is under
    way, so a month takes milliseconds.
    """

    folder: Path
    kinds: Mapping[str, StepKind] = field(default_factory=builtin_step_kinds)
    stubs: Mapping[str, Stub] = field(default_factory=dict)
    answers: Mapping[str, JSON] = field(default_factory=dict)
    signals: Iterable[tuple[float, str, JSON]] = ()
    cassette: Cassette | None = None
    faults: str = ""
    clock: ManualClock = field(default_factory=ManualClock)
    open_backend: OpenBackend | None = None
    _sending: set[asyncio.Task[int]] = field(default_factory=set, init=False, repr=False)

    async def run(
        self, definition: WorkflowDefinition, inputs: Mapping[str, object] | None = None, **start: Any
    ) -> Outcome:
        """Run a workflow to its end; raises AssertionError, with the reasons, when it waits for what never comes."""
        spoiled = Spoiled(faults_of(self.faults), self.clock)
        began_at = self.clock.now()
        workflow_id: str | None = None
        while True:
            async with self._opened(spoiled) as backend:
                if workflow_id is None:
                    workflow_id = (await backend.start(definition, inputs, **start)).workflow_id
                    for delay_s, name, payload in self.signals:
                        self._later(delay_s, backend, workflow_id, name, payload)
                if await self._drive(backend, workflow_id, spoiled):
                    state = await backend.wait(workflow_id, _PATIENCE_S)
                    events = await backend.events(workflow_id, limit=1_000_000)
                    took = self.clock.now() - began_at
                    return Outcome(state, events, took, tuple(sorted(spoiled.not_idempotent)))

    @contextlib.asynccontextmanager
    async def _opened(self, spoiled: Spoiled) -> AsyncIterator[ExecutionBackend]:
        kinds: dict[str, StepKind] = {
            name: StubbedKind(name, kind, self.stubs, self.cassette, spoiled) for name, kind in self.kinds.items()
        }
        opened = self.open_backend or _embedded
        backend = opened(self.folder, kinds, self.clock)
        async with backend:
            yield backend
            if spoiled.crashed.is_set():
                spoiled.crashed.clear()
                await backend.close(drain_s=0)

    def _later(self, delay_s: float, backend: ExecutionBackend, id_: str, name: str, payload: JSON) -> None:
        def send() -> None:
            task = asyncio.create_task(backend.signal(id_, name, payload))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

        self.clock.call_later(delay_s, send)

    async def _drive(self, backend: ExecutionBackend, workflow_id: str, spoiled: Spoiled) -> bool:
        """Answer and skip time until the workflow has ended; False when the engine has been made to crash."""
        async with _news(backend, spoiled.crashed) as next_news:
            quiet_s = 0.0
            while not spoiled.crashed.is_set():
                if (await backend.get(workflow_id)).is_finished:
                    return True
                if await self._go_on(backend, quiet_s) or await next_news():
                    quiet_s = 0.0
                else:
                    quiet_s += _LOOK_AGAIN_S
                if quiet_s > _PATIENCE_S:
                    raise AssertionError(f"nothing has happened for {quiet_s:g} s, although a step is under way")
        return False

    async def _answer(self, backend: ExecutionBackend) -> bool:
        """Give the answers that are known to those who wait for them."""
        for waiting in (await backend.waiting(limit=200)).items:
            if waiting.step in self.answers:
                await backend.answer(
                    waiting.workflow_id, waiting.step, self.answers[waiting.step], item=waiting.item, by="harness"
                )
                return True
        return False

    async def _go_on(self, backend: ExecutionBackend, quiet_s: float) -> bool:
        """Answer, or let time pass to the next thing that is due when nothing is under way; whether there was any."""
        before = await _states(backend)
        if await self._answer(backend):  # after that look: time must not pass for what could have been answered
            return True
        causes = [cause for id_ in before for cause in await backend.why(id_)]
        states = await _states(backend)
        if {id_: state.seq for id_, state in before.items()} != {id_: state.seq for id_, state in states.items()}:
            return False
        if self._sending or _is_at_work(states, causes):
            return False
        due = [at for state in states.values() for at in _due_times(state)]
        due += [] if self.clock.next_due_at is None else [self.clock.next_due_at]
        if due:
            left_s = (min(due) - self.clock.now()).total_seconds()
            self.clock.advance(max(0.0, left_s))
            return left_s > 0
        if quiet_s > _STUCK_AFTER_S:
            waits = "; ".join(sorted({cause.message for cause in _leaves(causes)}))
            raise AssertionError(f"the workflow waits for what never comes: {waits or 'nothing that it could name'}")
        return False


async def _states(backend: ExecutionBackend) -> dict[str, WorkflowState]:
    return {id_: await backend.get(id_) for id_ in await backend.unfinished()}


def _is_at_work(states: Mapping[str, WorkflowState], causes: Iterable[Cause]) -> bool:
    """Whether something is going to happen without the help of time."""
    if any(cause.kind in _AT_WORK for cause in _leaves(causes)):
        return True
    runs = [state.place(place) for state in states.values() for place in state.in_flight]
    waits = [run.wait.on for run in runs if run.status == "waiting" and run.wait is not None and run.wait.on]
    return any(on["kind"] == "workflow" and on["workflow"] not in states for on in waits)


@contextlib.asynccontextmanager
async def _news(backend: ExecutionBackend, crashed: asyncio.Event) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Waits a moment for the next event of any workflow, or for a crash; whether there was one."""
    happened = asyncio.Event()

    async def follow() -> None:
        async for _ in backend.watch(from_position=1):
            happened.set()

    async def next_news() -> bool:
        waits = [asyncio.ensure_future(happened.wait()), asyncio.ensure_future(crashed.wait())]
        done, pending = await asyncio.wait(waits, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        happened.clear()
        return bool(done)

    following = asyncio.create_task(follow())
    try:
        yield next_news
    finally:
        following.cancel()
        await asyncio.wait([following])


def _due_times(state: WorkflowState) -> list[datetime]:
    """When the timers of a workflow go off, or went off without having been acted on yet."""
    runs = [state.place(place) for place in state.in_flight]
    return [run.due_at for run in runs if run.status in ("waiting", "retrying") and run.due_at is not None]


def _leaves(causes: Iterable[Cause]) -> list[Cause]:
    found: list[Cause] = []
    queue = list(causes)
    for cause in queue:
        if cause.because:
            queue.extend(cause.because)
        else:
            found.append(cause)
    return found


def _embedded(folder: Path, kinds: Mapping[str, StepKind], clock: Clock) -> ExecutionBackend:
    # Without retention: looking for old history now and then is something that is always due next.
    return EmbeddedBackend(folder, kinds=kinds, clock=clock, synchronous="NORMAL", random=lambda: 0.0, retention=None)
