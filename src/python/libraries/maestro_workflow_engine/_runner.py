"""Runs attempts of steps: so many at once, in fair turns, each with its time limit, and stoppable."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from maestro_workflow_engine import _outcome
from maestro_workflow_engine._artifacts import ArtifactStore, CallArtifacts
from maestro_workflow_engine._commands import Command, StepStarted, StepStopped, StepSucceeded, StepWaits
from maestro_workflow_engine._errors import BadStepResult, StepStoppedItself, StepTimedOut
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Clock, StepCall, StepKind, Wait
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._state import Place

_log: Final = logging.getLogger("maestro_workflow_engine")

INLINE_BYTES: Final = 16 << 10
"""Outputs up to this size lie in the journal, larger ones in the artifact store."""

_LONGEST_WAIT_S: Final = 10 * 366 * 86_400.0

Stop: TypeAlias = Literal["timeout", "cancel", "close"]


class _Attempt:
    """One attempt that is under way."""

    __slots__ = ("is_over", "number", "place", "run", "stop", "task", "timer")

    def __init__(self, run: Run, place: Place, number: int) -> None:
        self.run = run
        self.place = place
        self.number = number
        self.task: asyncio.Task[None] | None = None
        self.stop: Stop | None = None
        self.timer: Callable[[], None] | None = None
        self.is_over = False


class Runner:
    """Takes ready places, and reports what becomes of them.

    At most `max_parallel` attempts run at once; workflows take turns. A step that ignores its cancellation for
    `stop_grace_s` seconds is abandoned: its place is freed, and what it may still give is thrown away.
    """

    def __init__(
        self,
        kinds: Mapping[str, StepKind],
        store: ArtifactStore,
        clock: Clock,
        *,
        max_parallel: int,
        max_output_bytes: int,
        stop_grace_s: float,
        report: Callable[[Run, Command], None],
        give_up: Callable[[OSError], None],
    ) -> None:
        self._kinds = kinds
        self._store = store
        self._clock = clock
        self._free = max_parallel
        self._max_output_bytes = max_output_bytes
        self._stop_grace_s = stop_grace_s
        self._report = report
        self._give_up = give_up
        self._turns: deque[Run] = deque()
        self._attempts: dict[tuple[str, Place], _Attempt] = {}
        self._is_closing = False
        self._abandoned: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def offer(self, run: Run, place: Place) -> None:
        """Run a place when its turn comes."""
        if self._is_closing:
            return
        if not run.ready:
            self._turns.append(run)
        run.ready.append(place)
        self._fill()

    def cancel(self, run: Run) -> None:
        """Stop what runs for a workflow; each attempt reports StepStopped, or what it still came to."""
        for step, item in list(run.state.in_flight):
            attempt = self._attempts.get((run.id, (step, item)))
            if attempt is not None:
                self._stop(attempt, "cancel")

    async def drain(self, drain_s: float) -> None:
        """Start nothing more, and give what runs some time to end."""
        self._is_closing = True
        self._turns.clear()
        if self._attempts and drain_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), drain_s)

    async def close(self) -> None:
        """Stop what still runs, and report nothing of it: it runs again at the next opening."""
        self.halt()
        await self._idle.wait()

    def halt(self) -> None:
        """Stop everything at once, without waiting for it."""
        self._is_closing = True
        self._turns.clear()
        for attempt in list(self._attempts.values()):
            self._stop(attempt, "close")

    def _fill(self) -> None:
        while self._free and self._turns:
            run = self._turns.popleft()
            place = run.ready.popleft()
            if run.ready:
                self._turns.append(run)
            self._begin(run, place)

    def _begin(self, run: Run, place: Place) -> None:
        if place not in run.state.in_flight or (run.id, place) in self._attempts:
            return  # cancelled while it waited for its turn
        attempt = _Attempt(run, place, run.state.place(place).attempt)
        self._report(run, StepStarted(place[0], place[1], attempt.number))
        if self._is_closing:
            return  # the report could not be written
        self._free -= 1
        self._idle.clear()
        self._attempts[run.id, place] = attempt
        attempt.task = asyncio.create_task(self._carry_out(attempt))
        # One that is stopped before its first turn never enters `_carry_out`.
        attempt.task.add_done_callback(lambda _: self._end(attempt, self._when_stopped(attempt)))
        timeout_s = run.definition.steps[place[0]].timeout_s
        if timeout_s is not None:
            attempt.timer = self._clock.call_later(timeout_s, lambda: self._stop(attempt, "timeout"))

    def _stop(self, attempt: _Attempt, why: Stop) -> None:
        if attempt.task is None or attempt.is_over:
            return
        if attempt.stop is None or why == "close":
            attempt.stop = why
        if attempt.timer is not None:
            attempt.timer()
        attempt.task.cancel()
        loop = asyncio.get_running_loop()
        attempt.timer = loop.call_later(self._stop_grace_s, self._abandon, attempt).cancel

    def _abandon(self, attempt: _Attempt) -> None:
        if not attempt.is_over:
            _log.warning(
                "workflow.step_abandoned: it ignored its cancellation for %g s; workflow_id=%s step=%s item=%s "
                "attempt=%d", self._stop_grace_s, attempt.run.id, attempt.place[0], attempt.place[1], attempt.number,
            )  # fmt: skip
            if attempt.task is not None:
                self._abandoned.add(attempt.task)
                attempt.task.add_done_callback(self._abandoned.discard)
            self._end(attempt, self._when_stopped(attempt))

    async def _carry_out(self, attempt: _Attempt) -> None:
        command: Command | None = None
        try:
            command = await self._call(attempt)
        except asyncio.CancelledError as error:
            command = self._when_cancelled(attempt, error)
        except (Exception, SystemExit) as error:  # a step must not take the engine with it
            _log.debug("workflow.step_raised workflow_id=%s step=%s", attempt.run.id, attempt.place[0], exc_info=True)
            if attempt.stop is None:
                command = _outcome.failed(*attempt.place, attempt.number, error)
            else:
                command = self._when_stopped(attempt)
        finally:
            self._end(attempt, command)

    def _when_cancelled(self, attempt: _Attempt, error: asyncio.CancelledError) -> Command | None:
        if attempt.stop is not None:
            return self._when_stopped(attempt)
        if attempt.task is not None and attempt.task.cancelling():
            return None  # the whole event loop is being stopped: it runs again at the next opening
        problem = StepStoppedItself()
        problem.__cause__ = error
        return _outcome.failed(*attempt.place, attempt.number, problem)

    def _when_stopped(self, attempt: _Attempt) -> Command | None:
        step, item = attempt.place
        if attempt.stop == "timeout":
            timeout_s = attempt.run.definition.steps[step].timeout_s or 0.0
            return _outcome.failed(step, item, attempt.number, StepTimedOut(timeout_s))
        if attempt.stop == "cancel":
            return StepStopped(step, item, attempt.number)
        return None

    def _end(self, attempt: _Attempt, command: Command | None) -> None:
        if attempt.is_over:
            return
        attempt.is_over = True
        if attempt.timer is not None:
            attempt.timer()
        del self._attempts[attempt.run.id, attempt.place]
        self._free += 1
        if command is not None:
            self._report(attempt.run, command)
        self._fill()
        if not self._attempts:
            self._idle.set()

    async def _call(self, attempt: _Attempt) -> Command | None:
        run = attempt.run
        step_id, item = attempt.place
        step = run.definition.steps[step_id]
        artifacts = CallArtifacts(self._store)
        where = step_id if item is None else f"{step_id}[{item}]"
        call = StepCall(
            workflow_id=run.id,
            workflow_name=run.state.name,
            step_id=step_id,
            item_index=item,
            attempt=attempt.number,
            idempotency_key=f"{run.id}/{where}/{attempt.number}",
            arguments=run.arguments(attempt.place, self._store),
            tools=run.tools(self._store),
            timeout_s=step.timeout_s,
            base_dir=run.base_dir,
            artifacts=artifacts,
            scratch=run.scratch,
            due_at=run.state.place(attempt.place).due_at,
        )
        result = await self._kinds[step.kind].run(call)
        if isinstance(result, Wait):
            if not 0 <= result.seconds <= _LONGEST_WAIT_S:
                raise BadStepResult(f"a step cannot wait for {result.seconds} s")
            return StepWaits(step_id, item, attempt.number, result.seconds)
        try:
            output = await self._kept(result)
        except OSError as error:
            self._give_up(error)
            return None
        return StepSucceeded(step_id, item, attempt.number, output, tuple(artifacts.kept))

    async def _kept(self, result: object) -> JSON | ArtifactRef:
        value, text = _outcome.plain(result, self._max_output_bytes)
        if len(text) <= INLINE_BYTES:
            return value
        return await self._store.keep_json(text, value)
