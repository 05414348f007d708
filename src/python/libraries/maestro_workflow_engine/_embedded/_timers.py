"""When what waits in memory is due: one call for each run of a step, and one for the whole workflow."""

from collections.abc import Callable
from datetime import datetime

from maestro_workflow_engine._commands import Command, Due, TimeUp
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._waits import WHOLE
from maestro_workflow_engine._ports import Clock
from maestro_workflow_engine._state import Place


class Timers:
    """Calls `tell` with Due or TimeUp once it is time; a paused workflow has no timers."""

    def __init__(self, clock: Clock, tell: Callable[[Hosted, Command], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._is_stopped = False

    def arm(self, run: Hosted, place: Place) -> None:
        """Come back to a place when it is due."""
        due_at = run.due_at(place)
        if due_at is None or self._is_stopped or run.state.status == "paused":
            return
        self.disarm(run, place)
        now = self._clock.now()
        if run.state.updated_at is not None:  # a clock that was set back must not make the wait longer than decided
            now = max(now, run.state.updated_at)
        delay_s = max(0.0, (due_at - now).total_seconds())
        run.timers[place] = self._clock.call_later(delay_s, lambda: self._due(run, place))

    def arm_all(self, run: Hosted) -> None:
        """Come back to everything that waits."""
        for place in run.waiting:
            self.arm(run, place)

    def fire(self, run: Hosted, until: datetime) -> None:
        """Tell at once what is due by then."""
        for place in list(run.timers):
            due_at = run.due_at(place)
            if due_at is not None and due_at <= until:
                self.disarm(run, place)
                self._due(run, place)

    def disarm(self, run: Hosted, place: Place) -> None:
        """Do not come back to a place."""
        call_off = run.timers.pop(place, None)
        if call_off is not None:
            call_off()

    def disarm_all(self, run: Hosted) -> None:
        """Do not come back to any of them."""
        for call_off in run.timers.values():
            call_off()
        run.timers.clear()

    def stop(self) -> None:
        """Nothing is armed any more."""
        self._is_stopped = True

    def _due(self, run: Hosted, place: Place) -> None:
        run.timers.pop(place, None)
        if not self._is_stopped:
            self._tell(run, TimeUp() if place == WHOLE else Due(*place))
