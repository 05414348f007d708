"""What durable events set going: attempts at the runner, timers, and children."""

from collections.abc import Callable
from typing import Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._timers import Timers
from maestro_workflow_engine._embedded._waits import WHOLE
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._runner import Runner
from maestro_workflow_engine._state import Place


class Dispatch:
    """Follows the durable events of workflows in memory; `waits_for_child` hears of places that wait for a child.

    Workflows with a concurrency key are kept from the runner until `slots_are_known`: an unfinished one that is not in
    memory yet may hold the place.
    """

    def __init__(
        self,
        runner: Runner,
        timers: Timers,
        *,
        when_durable: Callable[[Hosted, Callable[[], None]], None],
        waits_for_child: Callable[[Hosted, Place], None],
    ) -> None:
        self._runner = runner
        self._timers = timers
        self._when_durable = when_durable
        self._waits_for_child = waits_for_child
        self._kept: dict[str, Hosted] | None = {}

    def follow(self, run: Hosted, event: Event) -> None:
        """An event is durable."""
        rule = _RULES.get(event.type)
        if rule is not None:
            rule(self, run, event)

    def take_up(self, run: Hosted) -> None:
        """Go on with all that is in flight."""
        self._runner.restore(run)
        self.offer_all(run)
        self._timers.arm_all(run)

    def offer_all(self, run: Hosted) -> None:
        """Offer what an earlier engine or a pause has kept from the runner, once all that is decided is durable."""
        self._when_durable(run, lambda: self._offer_all(run))

    def _offer_all(self, run: Hosted) -> None:
        if run.state.status == "paused" or self._keeps(run):
            return
        for place in list(run.state.in_flight):
            if run.state.place(place).status in ("scheduled", "running"):
                self._runner.offer(run, place)

    def slots_are_known(self) -> None:
        """Every unfinished workflow that holds a place of a concurrency key has been taken up."""
        kept, self._kept = self._kept or {}, None
        for run in kept.values():
            if not run.state.is_finished:
                self.offer_all(run)

    def _keeps(self, run: Hosted) -> bool:
        if self._kept is None or run.definition.concurrency is None:
            return False
        self._kept[run.id] = run
        return True

    # --- rules ---

    def _offer(self, run: Hosted, event: Event) -> None:
        place = _place(event)
        if run.timers:
            self._timers.disarm(run, place)
        if run.state.status != "paused" and not self._keeps(run):
            self._runner.offer(run, place)

    def _come_back(self, run: Hosted, event: Event) -> None:
        place = _place(event)
        self._timers.arm(run, place)
        if place in run.children:
            self._waits_for_child(run, place)

    def _take_off(self, run: Hosted, event: Event) -> None:
        """A place, or a step with all its items, has ended without its attempt."""
        step, item = _place(event)
        items = run.state.steps[step].items if item is None and step in run.state.steps else None
        for place in [(step, item), *((step, number) for number in range(len(items or ())))]:
            self._timers.disarm(run, place)
            self._runner.stop(run, place)

    def _begin(self, run: Hosted, event: Event) -> None:
        if run.definition.timeout_s is not None:
            self._timers.arm(run, WHOLE)

    def _stop(self, run: Hosted, event: Event) -> None:
        if run.state.phase == "main" or event.data.get("force"):  # what cleans up after a cancel goes on
            self._runner.cancel(run)

    def _go_on(self, run: Hosted, event: Event) -> None:
        self._timers.arm_all(run)
        self.offer_all(run)

    def _migrated(self, run: Hosted, event: Event) -> None:
        gone = {*event.data["restarted"], *event.data["rerun"], *event.data["dropped"]}
        for place in run.dropped:
            if place[0] in gone:  # what is kept runs on
                self._runner.stop(run, place)
        run.dropped = ()
        self._timers.disarm_all(run)
        self._timers.arm_all(run)

    def _end(self, run: Hosted, event: Event) -> None:
        self._timers.disarm_all(run)
        self._runner.release(run)


def _place(event: Event) -> Place:
    return event.data["step"], event.data.get("item")


_RULES: Final[dict[str, Callable[[Dispatch, Hosted, Event], None]]] = {
    ev.WORKFLOW_STARTED: Dispatch._begin,
    ev.STEP_SCHEDULED: Dispatch._offer,
    ev.STEP_ANSWERED: Dispatch._offer,
    ev.STEP_FAILED: Dispatch._come_back,
    ev.STEP_WAITING: Dispatch._come_back,
    ev.STEP_REPEATED: Dispatch._come_back,
    ev.STEP_SKIPPED: Dispatch._take_off,
    ev.STEP_CANCELLED: Dispatch._take_off,
    ev.WORKFLOW_CANCEL_REQUESTED: Dispatch._stop,
    ev.WORKFLOW_TIMED_OUT: Dispatch._stop,
    ev.WORKFLOW_RESUMED: Dispatch._go_on,
    ev.WORKFLOW_MIGRATED: Dispatch._migrated,
    ev.WORKFLOW_SUCCEEDED: Dispatch._end,
    ev.WORKFLOW_FAILED: Dispatch._end,
    ev.WORKFLOW_CANCELLED: Dispatch._end,
}
