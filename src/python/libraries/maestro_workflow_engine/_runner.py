"""Runs attempts of steps: what may begin begins, each with its time limit, and stoppable."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._attempt import INLINE_BYTES, Attempt, Stop, World
from maestro_workflow_engine._clock import SystemClock
from maestro_workflow_engine._commands import Command, StepFailed, StepStarted, StepStopped, StepSucceeded
from maestro_workflow_engine._errors import StepStoppedItself, StepTimedOut
from maestro_workflow_engine._limits import Limits, Turn
from maestro_workflow_engine._outcome import failed
from maestro_workflow_engine._ports import Cause, Clock, FlowLimit, StepKind
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._secrets import SecretSource
from maestro_workflow_engine._state import Place

__all__ = ["INLINE_BYTES", "Runner"]

_log: Final = logging.getLogger("maestro_workflow_engine")


class Runner:
    """Takes ready places, and reports what becomes of them.

    At most `max_parallel` attempts run at once; the highest priority goes first, workflows of the same one take turns,
    and flow limits hold. A step that ignores its cancellation for `stop_grace_s` seconds is abandoned: its place is
    freed, and what it may still give is thrown away. `cancel_oldest` is told which workflow is to be cancelled because
    a newer one wants its concurrency slot. `idle_s` is how long ago the last attempt of an earlier engine may have
    begun.
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
        secrets: SecretSource | None = None,
        cancel_oldest: Callable[[Run], None] | None = None,
        idle_s: float = 0.0,
    ) -> None:
        self._world = World(kinds, store, secrets, max_output_bytes, give_up)
        self._clock = clock
        self._max_parallel = self._free = max_parallel
        self._stop_grace_s = stop_grace_s
        self._report = report
        self._cancel_oldest = cancel_oldest
        self._limits = Limits(store, _steady(clock), idle_s=idle_s, is_wanted=self._is_wanted)
        self._attempts: dict[tuple[str, Place], Attempt] = {}
        self._alarm: tuple[float, Callable[[], None]] | None = None
        self._is_closing = False
        self._abandoned: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    # --- what shall run ---

    def offer(self, run: Run, place: Place) -> None:
        """Run a place when its turn comes; again is fine."""
        if not self._is_closing:
            self._limits.offer(run, place)
            self._fill()

    def cancel(self, run: Run) -> None:
        """Stop what runs for a workflow; each attempt reports StepStopped, or what it still came to."""
        for place in list(run.state.in_flight):
            attempt = self._attempts.get((run.id, place))
            if attempt is not None:
                self._stop(attempt, "cancel")

    def stop(self, run: Run, place: Place) -> None:
        """Stop what runs at a place, and report nothing of it; the place may be offered again at once."""
        attempt = self._attempts.get((run.id, place))
        if attempt is not None:
            self._stop(attempt, "drop")

    def withdraw(self, run: Run) -> None:
        """Take back what was offered for a workflow and has not begun; what runs goes on."""
        self._limits.withdraw(run)
        self._fill()

    def release(self, run: Run) -> None:
        """Forget a workflow that has ended; what waited for its concurrency slot goes on."""
        self._limits.release(run)
        self._fill()

    def restore(self, run: Run) -> None:
        """Give a workflow of an earlier engine its slot back, if it had begun; before anything is offered."""
        self._limits.restore(run)

    def reprioritize(self, run: Run) -> None:
        """Heed a priority that has changed."""
        self._limits.reprioritize(run)
        self._fill()

    # --- limits ---

    def set_limit(self, limit: FlowLimit) -> None:
        """Hold a flow limit, which must have been checked, from now on."""
        self._limits.set(limit)
        for attempt in self._attempts.values():
            attempt.turn = self._limits.counted(limit.name, attempt.turn)
        self._fill()

    def delete_limit(self, name: str) -> None:
        """Forget a flow limit; again is fine."""
        self._limits.delete(name)
        self._fill()

    def held(self, run: Run, place: Place) -> Cause | None:
        """Why a place that is scheduled has not begun; None when it has, or when nobody has offered it."""
        if (run.id, place) in self._attempts:
            return None
        cause = self._limits.held(run, place)
        if cause is None and self._limits.is_queued(run):
            message = (
                f"it waits for its turn: this engine runs {self._max_parallel} steps at once, and that many run now"
            )
            cause = Cause("turn", message, *place, {"max_parallel": self._max_parallel})
        return cause

    # --- closing ---

    async def drain(self, drain_s: float) -> None:
        """Start nothing more, and give what runs some time to end."""
        self._close_door()
        if self._attempts and drain_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), drain_s)

    async def close(self) -> None:
        """Stop what still runs, and report nothing of it: it runs again at the next opening."""
        self.halt()
        await self._idle.wait()

    def halt(self) -> None:
        """Stop everything at once, without waiting for it."""
        self._close_door()
        for attempt in list(self._attempts.values()):
            self._stop(attempt, "close")

    def _close_door(self) -> None:
        self._is_closing = True
        if self._alarm is not None:
            self._alarm[1]()
            self._alarm = None

    # --- one attempt after the other ---

    def _fill(self) -> None:
        while self._free and not self._is_closing and (turn := self._limits.take()) is not None:
            self._begin(turn)
        while self._limits.overtaken:
            overtaken = self._limits.overtaken.pop(0)
            if self._cancel_oldest is not None:
                self._cancel_oldest(overtaken)
        due_at = self._limits.due_at
        if due_at is not None:
            self._set_alarm(due_at)

    def _set_alarm(self, due_at: float) -> None:
        if self._is_closing or (self._alarm is not None and self._alarm[0] <= due_at):
            return
        if self._alarm is not None:
            self._alarm[1]()
        self._alarm = due_at, self._clock.call_later(max(0.0, due_at - self._limits.time_s()), self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self._limits.wake()
        self._fill()

    def _is_wanted(self, run: Run, place: Place) -> bool:
        """Whether a place still has to begin, now that its turn has come."""
        attempt = self._attempts.get((run.id, place))
        if attempt is not None:
            attempt.awaited_by = None if attempt.stop is None else run
            return False
        state = run.state
        is_ready = place in state.in_flight and state.place(place).status in ("scheduled", "running")
        return is_ready and state.status != "paused"

    def _begin(self, turn: Turn) -> None:
        attempt = Attempt(turn)
        run, place = turn.run, turn.place
        if turn.error is not None:
            self._report(run, failed(*place, attempt.number, turn.error))
            return
        self._report(run, StepStarted(place[0], place[1], attempt.number))
        if self._is_closing:
            return  # the report could not be written
        self._free -= 1
        self._idle.clear()
        self._attempts[run.id, place] = attempt
        attempt.task = asyncio.create_task(self._carry_out(attempt))
        timeout_s = attempt.timeout_s
        if timeout_s is not None:
            attempt.timer = self._clock.call_later(timeout_s, lambda: self._stop(attempt, "timeout"))

    def _stop(self, attempt: Attempt, why: Stop) -> None:
        if attempt.task is None or attempt.is_over:
            return
        is_first = attempt.stop is None
        if is_first or why in ("drop", "close"):
            attempt.stop = why
        if not is_first and why != "close":
            return  # a second cancellation would cut its cleaning up short
        if attempt.timer is not None:
            attempt.timer()
        if not attempt.has_begun:  # it never enters `_carry_out` then
            attempt.task.add_done_callback(lambda _: self._end(attempt, self._when_stopped(attempt)))
        attempt.task.cancel()
        loop = asyncio.get_running_loop()
        attempt.timer = loop.call_later(self._stop_grace_s, self._abandon, attempt).cancel

    def _abandon(self, attempt: Attempt) -> None:
        if not attempt.is_over:
            _log.warning(
                "workflow.step_abandoned: it ignored its cancellation for %g s; workflow_id=%s step=%s item=%s "
                "attempt=%d", self._stop_grace_s, attempt.run.id, attempt.place[0], attempt.place[1], attempt.number,
            )  # fmt: skip
            if attempt.task is not None:
                self._abandoned.add(attempt.task)
                attempt.task.add_done_callback(self._abandoned.discard)
            self._end(attempt, self._when_stopped(attempt))

    async def _carry_out(self, attempt: Attempt) -> None:
        attempt.has_begun = True
        command: Command | None = None
        try:
            command = await attempt.call(self._world)
        except asyncio.CancelledError as error:
            command = self._when_cancelled(attempt, error)
        except (Exception, SystemExit) as error:  # a step must not take the engine with it
            command = attempt.failed(error) if attempt.stop is None else self._when_stopped(attempt)
        finally:
            self._end(attempt, command)

    def _when_cancelled(self, attempt: Attempt, error: asyncio.CancelledError) -> Command | None:
        if attempt.stop is not None:
            return self._when_stopped(attempt)
        if attempt.task is not None and attempt.task.cancelling():
            return None  # the whole event loop is being stopped: it runs again at the next opening
        problem = StepStoppedItself()
        problem.__cause__ = error
        return attempt.failed(problem)

    def _when_stopped(self, attempt: Attempt) -> Command | None:
        if attempt.stop == "timeout":
            return attempt.failed(StepTimedOut(attempt.timeout_s or 0.0))
        if attempt.stop == "cancel":
            return StepStopped(*attempt.place, attempt.number)
        return None

    def _end(self, attempt: Attempt, command: Command | None) -> None:
        if attempt.is_over:
            return
        attempt.is_over = True
        if attempt.timer is not None:
            attempt.timer()
        del self._attempts[attempt.run.id, attempt.place]
        self._free += 1
        if attempt.turn.passes:
            self._limits.end(attempt.turn.passes, _went_well(attempt, command))
        if command is not None and attempt.stop != "drop":
            self._report(attempt.run, command)
        if attempt.awaited_by is not None and not self._is_closing:
            self._limits.offer(attempt.awaited_by, attempt.place)
        self._fill()
        if not self._attempts:
            self._idle.set()


def _went_well(attempt: Attempt, command: Command | None) -> bool | None:
    """What an attempt says about that which it called."""
    if isinstance(command, StepSucceeded):
        return True
    return False if isinstance(command, StepFailed) and attempt.was_called else None


def _steady(clock: Clock) -> Callable[[], float]:
    """A clock for spans of time: that of the machine is not moved when somebody sets the time."""
    return time.monotonic if isinstance(clock, SystemClock) else lambda: clock.now().timestamp()
