"""What a user may ask of workflows that have begun."""

import builtins
import os
from collections.abc import Mapping, Sequence
from typing import Final

from maestro_workflow_engine._commands import (
    Answer,
    Cancel,
    ChangeBudget,
    ChangePriority,
    Command,
    Migrate,
    Pause,
    Resume,
    RetryNow,
    Signal,
    Skip,
)
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._children import Children
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._parking import Parking
from maestro_workflow_engine._embedded._questions import Questions
from maestro_workflow_engine._embedded._retention import Retention
from maestro_workflow_engine._embedded._rows import limit_deletion, limit_statement
from maestro_workflow_engine._embedded._settings import (
    checked_answer,
    checked_budget,
    checked_event,
    checked_output,
    checked_priority,
    checked_signal,
)
from maestro_workflow_engine._errors import (
    CommandRefused,
    UnknownStepKind,
    WorkflowFinished,
)
from maestro_workflow_engine._form import answer_problems
from maestro_workflow_engine._ids import check_text
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds._event import matches
from maestro_workflow_engine._limits import check_limit
from maestro_workflow_engine._migrate import plan_migration
from maestro_workflow_engine._ports import Cause, Clock, FlowLimit, MigrationPlan, StepKind
from maestro_workflow_engine._refusals import InvalidAnswer, StepNotWaiting
from maestro_workflow_engine._state import Place
from maestro_workflow_engine._why import causes

_ANSWERED_OTHERWISE: Final = {
    "signal": "waits for a signal: send it that",
    "event": "waits for an event: publish one",
    "workflow": "waits for the end of its child workflow",
}


class Control(Questions):
    """Commands to workflows; each gives the seq up to which it is durable, and loads the workflow first if it rests."""

    _parking: Parking
    _children: Children
    _retention: Retention
    _clock: Clock
    _kinds: dict[str, StepKind]

    def _check_working(self) -> None:
        self._check_open()
        if self._engine.failure is not None:
            raise self._engine.failure

    def _check_kinds(self, definition: WorkflowDefinition) -> None:
        unknown = {
            step.kind: step.id
            for each in (definition, *definition.bodies())
            for step in each.steps.values()
            if step.kind not in self._kinds
        }
        if unknown:
            raise UnknownStepKind(unknown, list(self._kinds))

    async def _loaded(self, workflow_id: str, by: str | None) -> Hosted:
        self._check_working()
        check_text(by, "the name of who asks")
        return await self._parking.loaded(workflow_id)

    async def _tell(self, workflow_id: str, command: Command, by: str | None) -> int:
        run = await self._loaded(workflow_id, by)
        return await self._engine.ask(run, command)

    # --- the workflow as a whole ---

    async def cancel(
        self, workflow_id: str, reason: str | None = None, *, by: str | None = None, force: bool = False
    ) -> int:
        """Begin to cancel; again is fine. `force` leaves out compensation and finally."""
        check_text(reason, "the reason")
        try:
            return await self._tell(workflow_id, Cancel(reason, by, force), by)
        except WorkflowFinished as error:
            if error.status != "cancelled":
                raise
            return (await self.get(workflow_id)).seq

    async def pause(self, workflow_id: str, reason: str | None = None, *, by: str | None = None) -> int:
        """Start nothing more until it is resumed; what runs may end; again is fine."""
        check_text(reason, "the reason")
        return await self._tell(workflow_id, Pause(reason, by), by)

    async def resume(self, workflow_id: str, *, by: str | None = None) -> int:
        """Go on after a pause; again is fine."""
        return await self._tell(workflow_id, Resume(by), by)

    async def set_budget(self, workflow_id: str, budget: Mapping[str, float], *, by: str | None = None) -> int:
        """Set the limits of its budget; raises BadSetting."""
        return await self._tell(workflow_id, ChangeBudget(checked_budget(budget), by), by)

    async def set_priority(self, workflow_id: str, priority: int, *, by: str | None = None) -> int:
        """Set its priority, from -100 to 100; raises BadSetting."""
        return await self._tell(workflow_id, ChangePriority(checked_priority(priority), by), by)

    async def migrate(
        self,
        workflow_id: str,
        definition: WorkflowDefinition,
        *,
        rerun: Sequence[str] = (),
        dry_run: bool = False,
        by: str | None = None,
    ) -> MigrationPlan:
        """Go on with another definition, or with `dry_run` only say what that would do; raises MigrationRefused."""
        self._check_kinds(definition)
        steps = frozenset(rerun)
        run = await self._loaded(workflow_id, by)
        plan = plan_migration(run.state, definition, steps)
        if not dry_run:
            self._keep_definition(definition)
            await self._engine.ask(run, Migrate(definition, steps, by))
        return plan

    async def delete(self, workflow_id: str) -> None:
        """Forget an ended workflow with its events; raises WorkflowNotFound, CommandRefused when it has not ended."""
        self._check_working()
        if workflow_id in self._engine.runs:
            raise CommandRefused(f"workflow {workflow_id!r} has not ended: cancel it first")
        await self._retention.delete(workflow_id)

    # --- its steps ---

    async def signal(
        self, workflow_id: str, name: str, payload: JSON = None, *, signal_id: str | None = None, by: str | None = None
    ) -> int:
        """Tell it something; kept until a step waits for it. The same `signal_id` again changes nothing.

        Raises SignalRefused.
        """
        kept = checked_signal(name, payload, signal_id)
        return await self._tell(workflow_id, Signal(name, kept, signal_id or os.urandom(16).hex(), by), by)

    async def answer(
        self, workflow_id: str, step: str, value: JSON, *, item: int | None = None, by: str | None = None
    ) -> int:
        """Answer what a step waits for; raises StepNotWaiting, StepNotFound, InvalidAnswer."""
        kept = checked_answer(value)
        run = await self._loaded(workflow_id, by)
        self._check_answer(run, (step, item), kept)
        return await self._engine.ask(run, Answer(step, item, kept, by))

    def _check_answer(self, run: Hosted, place: Place, value: JSON) -> None:
        if place not in run.state.in_flight:
            return  # the law knows best what is wrong with it
        waiting = run.state.place(place)
        on = waiting.wait.on if waiting.status == "waiting" and waiting.wait is not None else None
        if on is None:
            return
        kind = str(on["kind"])
        if kind in _ANSWERED_OTHERWISE:
            raise StepNotWaiting(run.id, *place, waiting.status, _ANSWERED_OTHERWISE[kind])
        problems = answer_problems(on, value) if kind == "approval" else []
        if problems:
            raise InvalidAnswer(problems)

    async def retry(self, workflow_id: str, step: str, *, item: int | None = None, by: str | None = None) -> int:
        """Try a retrying step at once; raises StepNotWaiting, StepNotFound."""
        return await self._tell(workflow_id, RetryNow(step, item, by), by)

    async def skip(
        self,
        workflow_id: str,
        step: str,
        *,
        item: int | None = None,
        output: JSON = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> int:
        """Count a step, or one item of it, as done with this output; raises StepEnded, StepNotFound."""
        check_text(reason, "the reason")
        return await self._tell(workflow_id, Skip(step, item, checked_output(output), reason, by), by)

    # --- all workflows ---

    async def publish(self, event: Mapping[str, JSON]) -> int:
        """Give an event (CloudEvents attributes and `data`) to all runs that wait for it; gives how many there were."""
        self._check_working()
        value = checked_event(event)
        told, after = 0, 0
        while rows := await self._reader.waits_for("event", str(value["type"]), after=after):
            after = rows[-1].position
            for row in rows:
                if row.on is not None and matches(row.on, value) and await self._parking.is_ours(row.workflow_id):
                    told += await self._give(row.workflow_id, (row.step, row.item), value)
        await self._engine.write([])  # durable is what comes before it
        return told

    async def _give(self, workflow_id: str, place: Place, event: JSON) -> bool:
        """Whether a run still waited for the event."""
        run = await self._parking.loaded_quietly(workflow_id)
        if run is None or place not in run.state.in_flight:
            return False
        waiting = run.state.place(place)
        if waiting.status != "waiting" or waiting.wait is None or waiting.wait.kind != "event":
            return False
        self._engine.advance(run, Answer(*place, event))
        return True

    async def why(self, workflow_id: str) -> builtins.list[Cause]:
        """Why each unfinished step has not ended yet, in the order of the definition; raises WorkflowNotFound."""
        self._check_working()
        run = self._engine.runs.get(workflow_id)
        if run is not None:
            return causes(run.state, now=self._clock.now(), held=lambda place: self._engine.runner.held(run, place))
        row = await self._reader.workflow(workflow_id)
        state = await self.get(workflow_id)
        for place in state.in_flight:
            if state.place(place).status == "running":  # so the journal says, but nobody runs it now
                state.place(place).status = "scheduled"
        left = self._parking.why_left(workflow_id, row.key)
        turn = Cause("turn", "the engine has opened lately and has not come to this workflow yet")
        cause = turn if left is None else Cause("not_resumed", str(left))
        return causes(state, now=self._clock.now(), held=lambda place: cause)

    async def set_limit(self, limit: FlowLimit) -> None:
        """Set a flow limit, durably and at once; raises BadSetting."""
        self._check_working()
        check_limit(limit)
        await self._engine.write([limit_statement(limit)])
        self._engine.runner.set_limit(limit)

    async def delete_limit(self, name: str) -> None:
        """Forget a flow limit; again is fine."""
        self._check_working()
        await self._engine.write([limit_deletion(name)])
        self._engine.runner.delete_limit(name)

    async def take_up(self, workflow_id: str) -> None:
        """Go on with a workflow that opening with `resume="none"` left alone; again is fine.

        Raises UnknownStepKind, WorkflowFinished, WorkflowNotFound.
        """
        self._check_working()
        self._children.adopt(await self._parking.loaded(workflow_id))
