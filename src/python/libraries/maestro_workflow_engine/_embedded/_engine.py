"""Where law, journal, runner and hub meet: the only place that decides and writes."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._artifacts import JSON_TYPE, ArtifactStore, hash_of
from maestro_workflow_engine._commands import Cancel, Command, Due, Recover, Start, StepStarted
from maestro_workflow_engine._decide import decide
from maestro_workflow_engine._embedded._database import INSERT_DEFINITION, INSERT_WORKFLOW, UPDATE_WORKFLOW
from maestro_workflow_engine._embedded._journal import Journal, Record, Statement, encode, microseconds
from maestro_workflow_engine._errors import EngineBroken, EngineError, WorkflowError
from maestro_workflow_engine._events import ArtifactRef, Decided, Event
from maestro_workflow_engine._hub import Hub
from maestro_workflow_engine._ports import Clock
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._runner import INLINE_BYTES, Runner
from maestro_workflow_engine._state import Place, WorkflowState, apply

_log: Final = logging.getLogger("maestro_workflow_engine")
_REMEMBERED: Final = 16
_KNOWN_DIGESTS: Final = 10_000


class Engine:
    """All unfinished workflows; their states run ahead of the journal, and the world sees only what is durable."""

    journal: Journal
    runner: Runner

    def __init__(
        self, store: ArtifactStore, clock: Clock, random: Callable[[], float], *, position: int, key: int
    ) -> None:
        self.runs: dict[str, Run] = {}
        self.remembered: OrderedDict[str, WorkflowState] = OrderedDict()
        """A few workflows that ended lately."""
        self.hub = Hub()
        self.failure: EngineError | None = None
        self.is_closing = False
        self.durable_position = position
        self._store = store
        self._clock = clock
        self._random = random
        self._position = position
        self._key = key
        self._stored_definitions: set[str] = set()
        self._removals: set[asyncio.Task[None]] = set()

    # --- commands ---

    async def start(self, make_run: Callable[[int], Run], command: Start) -> int:
        """Begin a workflow; gives the seq up to which it is durable."""
        self._key += 1
        run = make_run(self._key)
        self.runs[run.id] = run
        waiter = asyncio.get_running_loop().create_future()
        now = self._clock.now()
        statements: list[Statement] = []
        definition = run.definition
        if definition.digest not in self._stored_definitions:
            if len(self._stored_definitions) >= _KNOWN_DIGESTS:
                self._stored_definitions.clear()  # storing one again changes nothing
            self._stored_definitions.add(definition.digest)
            statements.append((INSERT_DEFINITION, (definition.digest, encode(definition.document))))
        labels = dict(command.labels or {})
        values = (run.key, run.id, definition.name, command.template, encode(labels), definition.digest)
        statements.append((INSERT_WORKFLOW, (*values, str(run.base_dir), "running", microseconds(now))))
        self.advance(run, command, waiter=waiter, statements=statements, now=now)
        seq = run.state.seq
        await waiter
        return seq

    async def cancel(self, run: Run, reason: str | None) -> int:
        """Begin to cancel; gives the seq up to which that is durable."""
        self.advance(run, Cancel(reason))
        if self.failure is not None:
            raise self.failure
        seq = run.state.seq
        await self.durable(run, seq)
        return seq

    def resume(self, run: Run) -> None:
        """Go on with a workflow that an earlier engine left unfinished."""
        self.runs[run.id] = run
        self.advance(run, Recover())
        for place in run.state.in_flight:
            state = run.state.place(place)
            if state.status in ("scheduled", "running"):
                self.runner.offer(run, place)
            elif state.due_at is not None:
                self._arm(run, place)

    async def durable(self, run: Run, seq: int) -> None:
        """Wait until the events of a workflow up to `seq` are durable."""
        if run.durable_seq < seq:
            waiter = asyncio.get_running_loop().create_future()
            self.journal.append(Record(run, run.key, [], waiter=waiter))
            await waiter

    def advance(
        self,
        run: Run,
        command: Command,
        *,
        waiter: asyncio.Future[None] | None = None,
        statements: list[Statement] | None = None,
        now: datetime | None = None,
    ) -> None:
        """Decide, bring the state on, and hand what follows to the journal in one record; `now` None asks the clock."""
        if self.failure is not None:
            return
        state = run.state
        status = state.status
        now = now or self._clock.now()
        record = Record(run, run.key, [], statements or [], waiter=waiter)
        try:
            for decided in decide(state, command, now=now, random=self._random, load=self._store.load):
                type_, data = self._slimmed(decided, record) if decided[0] == ev.WORKFLOW_SUCCEEDED else decided
                self._position += 1
                event = Event(state.seq + 1, state.id, type_, now, data, self._position)
                apply(state, event)
                record.events.append(event)
        except WorkflowError:
            raise
        except Exception as error:  # going on would mean to go on with a state that nobody understands
            _log.exception("workflow.engine_broken workflow_id=%s", run.id)
            self.on_failure(EngineBroken(f"{type(error).__name__}: {error}"), [record])
            return
        if state.status != status:
            finished_at = None if state.finished_at is None else microseconds(state.finished_at)
            reason = encode(state.error) if state.status == "failed" else None
            record.statements.append((UPDATE_WORKFLOW, (state.status, finished_at, reason, run.key)))
        if type(command) is StepStarted:
            if record.events:
                self.journal.defer(record)
        elif record.events or waiter is not None:
            self.journal.append(record)

    def _slimmed(self, decided: Decided, record: Record) -> Decided:
        """Outputs of a workflow that are too large for the journal become an artifact of the same transaction."""
        type_, data = decided
        text = encode(data["outputs"])
        if len(text) <= INLINE_BYTES:
            return decided
        content = text.encode()
        sha256 = hash_of(content)
        record.blobs.append((sha256, content))
        return type_, {"outputs_ref": ArtifactRef(sha256, len(content), JSON_TYPE).as_json()}

    # --- what the journal says ---

    def on_durable(self, records: list[Record]) -> None:
        """One transaction is on the disk: tell those who watch and wait, and start what may start now."""
        for record in records:
            run: Run = record.workflow
            if record.events:
                run.durable_seq = record.events[-1].seq
                self.durable_position = record.events[-1].position
                self.hub.publish(run.id, record.events)
            if record.waiter is not None and not record.waiter.done():
                record.waiter.set_result(None)
            for event in record.events:
                follow_up = _FOLLOW_UPS.get(event.type)
                if follow_up is not None:
                    follow_up(self, run, (event.data.get("step", ""), event.data.get("item")))

    def on_failure(self, error: EngineError, records: list[Record]) -> None:
        """The journal has failed: stop everything; what is durable goes on when the engine is opened again."""
        for record in records:
            if record.waiter is not None and not record.waiter.done():
                record.waiter.set_exception(error)
        if self.failure is not None:
            return
        _log.error("%s: %s", error.code, error)
        self.failure = error
        self.stop_timers()
        for run in self.runs.values():
            run.done.set()
        self.runs.clear()
        self.remembered.clear()
        self.runner.halt()
        self.hub.close(error)

    def stop_timers(self) -> None:
        """Nothing becomes due any more."""
        for run in self.runs.values():
            for call_off in run.timers.values():
                call_off()
            run.timers.clear()

    async def settle(self) -> None:
        """Wait for the scratch folders of ended workflows to be gone."""
        if self._removals:
            await asyncio.wait(self._removals)

    # --- follow-ups of durable events ---

    def _offer(self, run: Run, place: Place) -> None:
        self.runner.offer(run, place)

    def _arm(self, run: Run, place: Place) -> None:
        """Come back to a run that is retrying or waiting when it is due."""
        if self.is_closing or place not in run.state.in_flight:
            return
        due_at = run.state.place(place).due_at
        if due_at is None:
            return
        now = self._clock.now()
        if run.state.updated_at is not None:  # a clock that was set back must not make the wait longer than decided
            now = max(now, run.state.updated_at)
        delay_s = max(0.0, (due_at - now).total_seconds())
        run.timers[place] = self._clock.call_later(delay_s, lambda: self._due(run, place))

    def _due(self, run: Run, place: Place) -> None:
        run.timers.pop(place, None)
        if not self.is_closing:
            self.advance(run, Due(*place))

    def _disarm(self, run: Run, place: Place) -> None:
        call_off = run.timers.pop(place, None)
        if call_off is not None:
            call_off()

    def _stop(self, run: Run, place: Place) -> None:
        self.runner.cancel(run)

    def _finish(self, run: Run, place: Place) -> None:
        self.runs.pop(run.id, None)
        self.remembered[run.id] = run.state
        if len(self.remembered) > _REMEMBERED:
            self.remembered.popitem(last=False)
        run.done.set()
        if run.scratch.is_made:
            removal = asyncio.create_task(run.scratch.remove())
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)


_FOLLOW_UPS: Final[dict[str, Callable[[Engine, Run, Place], None]]] = {
    ev.STEP_SCHEDULED: Engine._offer,
    ev.STEP_FAILED: Engine._arm,
    ev.STEP_WAITING: Engine._arm,
    ev.STEP_CANCELLED: Engine._disarm,
    ev.WORKFLOW_CANCEL_REQUESTED: Engine._stop,
    ev.WORKFLOW_SUCCEEDED: Engine._finish,
    ev.WORKFLOW_FAILED: Engine._finish,
    ev.WORKFLOW_CANCELLED: Engine._finish,
}
