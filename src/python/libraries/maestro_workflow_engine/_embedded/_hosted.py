"""A workflow in the memory of the embedded engine."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._waits import WHOLE, places_waiting
from maestro_workflow_engine._events import TERMINAL_TYPES, Event
from maestro_workflow_engine._run import Run, ScratchDir
from maestro_workflow_engine._state import ItemState, Place, WorkflowState

_ENDS_MANY: Final = TERMINAL_TYPES | {ev.STEP_SKIPPED, ev.WORKFLOW_MIGRATED}
"""Events that may take places off which they do not name."""


class Hosted(Run):
    """A run with what only the embedded engine knows of it."""

    __slots__ = ("children", "dropped", "is_parked", "origin", "waiting")

    def __init__(
        self,
        key: int,
        definition: WorkflowDefinition,
        state: WorkflowState,
        base_dir: Path,
        scratch: ScratchDir,
        *,
        origin: WorkflowState | None = None,
        is_parked: bool = False,
    ) -> None:
        super().__init__(key, definition, state, base_dir, scratch)
        self.origin = origin
        """The state of the workflow that this one runs again."""
        self.is_parked = is_parked
        """Whether the journal says that nothing has to be done for it until something is due or answered."""
        self.waiting: set[Place] = places_waiting(state)
        """Places that have a row among the waits."""
        if self.time_up_at is not None:
            self.waiting.add(WHOLE)
        self.children: dict[Place, str] = {
            place: child for place in state.in_flight if (child := child_of(state.place(place))) is not None
        }
        """Child workflows that places wait for."""
        self.dropped: tuple[Place, ...] = ()
        """What was in flight before a migration that is not durable yet."""

    @property
    def is_resting(self) -> bool:
        """Whether nothing has to be done for it until something is due or answered.

        One that holds a place of a concurrency key is never at rest, so that every opening finds it at once.
        """
        in_flight = self.state.in_flight
        if self.state.is_finished or self.definition.concurrency is not None:
            return False
        if self.state.status == "paused":
            return all(self.state.place(place).status != "running" for place in in_flight)
        return len(self.waiting) - (WHOLE in self.waiting) == len(in_flight) > 0

    @property
    def time_up_at(self) -> datetime | None:
        """When the whole workflow has run long enough; None when it may run on."""
        timeout_s, state = self.definition.timeout_s, self.state
        if timeout_s is None or state.is_timed_out or state.is_finished or state.started_at is None:
            return None
        return state.started_at + timedelta(seconds=timeout_s)

    def due_at(self, place: Place) -> datetime | None:
        """When time brings a place on; None when it does not."""
        if place == WHOLE:
            return self.time_up_at
        if place not in self.state.in_flight:
            return None
        run = self.state.place(place)
        return run.due_at if run.status in ("waiting", "retrying") else None

    @property
    def next_due_at(self) -> datetime | None:
        """When time alone brings it on; None when it does not."""
        if self.state.status == "paused":
            return None
        return min((due_at for place in self.waiting if (due_at := self.due_at(place)) is not None), default=None)

    def let_go(self, events: Iterable[Event]) -> list[str]:
        """Children that nobody waits for any more after these events, although they have not ended."""
        gone = []
        for event in events:
            if event.type == ev.STEP_WAITING and event.data.get("on") is not None:
                place = event.data["step"], event.data.get("item")
                child = child_of(self.state.place(place)) if place in self.state.in_flight else None
                if child is not None:
                    self.children[place] = child
            elif not self.children:
                continue
            elif event.type in _ENDS_MANY:
                for place in [place for place in self.children if not self._awaits_child(place)]:
                    gone.append(self.children.pop(place))
            elif "step" in event.data:
                child = self.children.pop((event.data["step"], event.data.get("item")), None)
                if child is not None and event.type != ev.STEP_ANSWERED:
                    gone.append(child)
        return gone

    def _awaits_child(self, place: Place) -> bool:
        return place in self.state.in_flight and child_of(self.state.place(place)) == self.children[place]


def child_of(run: ItemState) -> str | None:
    """The child workflow that a run of a step waits for, if it does."""
    if run.status != "waiting" or run.wait is None or run.wait.on is None or run.wait.on["kind"] != "workflow":
        return None
    return str(run.wait.on.get("workflow"))
