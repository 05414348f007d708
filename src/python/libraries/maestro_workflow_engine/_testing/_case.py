"""A workflow that is decided by hand, one command after the other."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from maestro_workflow_engine._commands import Command, Migrate, Start, StepFailed, StepStarted, StepSucceeded, StepWaits
from maestro_workflow_engine._decide import advance
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._fold import fold
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._state import WorkflowState, new_state, snapshot


class LawCase:
    """A workflow that is decided by hand; `origin` is the state of the workflow that it runs again."""

    NOW: ClassVar = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __init__(self, steps: dict[str, Any], *, origin: Any = None, **rest: Any) -> None:
        self.known: dict[str, WorkflowDefinition] = {}
        self.definition: WorkflowDefinition = parse_definition({"name": "case", "steps": steps, **rest})
        self.state: WorkflowState = new_state(self.definition, "w")
        self.state.lookup = self.known.__getitem__
        self.origin: WorkflowState | None = origin
        self.events: list[Event] = []
        self.large: dict[str, Any] = {}

    def do(self, command: Command, *, now: datetime | None = None, random: float = 0.0) -> list[str]:
        """Decide and fold; gives the events in short form: the type, then step, item and attempt."""
        now = now or self.NOW
        if isinstance(command, Migrate):
            self.known[command.definition.digest] = command.definition
        state = snapshot(self.state)
        events = advance(
            state,
            command,
            now=now,
            random=lambda: random,
            load=lambda reference: self.large[reference.sha256],
            origin=self.origin,
        )
        assert fold(events, self.state) == state, "the events say all that was decided"
        self.state = state
        self.events += events
        return [_short(event) for event in events]

    def start(self, *, origin: dict[str, Any] | None = None, **inputs: Any) -> list[str]:
        """Start it."""
        return self.do(Start(self.definition.resolve_inputs(inputs), origin=origin))

    def begin(self, step: str, item: int | None = None, attempt: int = 1) -> list[str]:
        """The runner starts an attempt."""
        return self.do(StepStarted(step, item, attempt))

    def ok(self, step: str, output: Any = None, item: int | None = None, attempt: int = 1) -> list[str]:
        """An attempt succeeds."""
        return self.do(StepSucceeded(step, item, attempt, output))

    def fail(
        self, step: str, item: int | None = None, attempt: int = 1, retryable: bool = True, after_s: float | None = None
    ) -> list[str]:
        """An attempt fails."""
        return self.do(StepFailed(step, item, attempt, "test.bad", "bad luck", retryable, after_s))

    def wait(
        self, step: str, item: int | None = None, *, seconds: float | None = None, memo: Any = None, **on: Any
    ) -> list[str]:
        """An attempt asks to go on later."""
        return self.do(StepWaits(step, item, self.state.place((step, item)).attempt, seconds, on or None, memo))

    def status(self, step: str) -> str:
        """How a step stands."""
        return self.state.steps[step].status


def _short(event: Event) -> str:
    words = [event.type]
    if "step" in event.data and event.data["step"] is not None:
        item = event.data.get("item")
        words.append(event.data["step"] if item is None else f"{event.data['step']}[{item}]")
    if event.type == "step.scheduled" and event.data["attempt"] != 1:
        words.append(f"#{event.data['attempt']}")
    return " ".join(words)
