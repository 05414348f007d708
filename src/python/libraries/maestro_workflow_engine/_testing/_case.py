"""A workflow that is decided by hand, one command after the other."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from maestro_workflow_engine._commands import Command, Start, StepFailed, StepStarted, StepSucceeded
from maestro_workflow_engine._decide import decide
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._state import WorkflowState, fold, new_state


class LawCase:
    """A workflow that is decided by hand."""

    NOW: ClassVar = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __init__(self, steps: dict[str, Any], **rest: Any) -> None:
        self.definition: WorkflowDefinition = parse_definition({"name": "case", "steps": steps, **rest})
        self.state: WorkflowState = new_state(self.definition, "w")
        self.events: list[Event] = []
        self.large: dict[str, Any] = {}

    def do(self, command: Command, *, now: datetime | None = None, random: float = 0.0) -> list[str]:
        """Decide and fold; gives the events in short form: the type, then step, item and attempt."""
        now = now or self.NOW
        decided = decide(
            self.state, command, now=now, random=lambda: random, load=lambda reference: self.large[reference.sha256]
        )
        events = [Event(self.state.seq + 1 + i, "w", type_, now, data) for i, (type_, data) in enumerate(decided)]
        self.state = fold(events, self.state)
        self.events += events
        return [_short(event) for event in events]

    def start(self, **inputs: Any) -> list[str]:
        """Start it."""
        return self.do(Start(self.definition.resolve_inputs(inputs)))

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


def _short(event: Event) -> str:
    words = [event.type]
    if "step" in event.data and event.data["step"] is not None:
        item = event.data.get("item")
        words.append(event.data["step"] if item is None else f"{event.data['step']}[{item}]")
    if event.type == "step.scheduled" and event.data["attempt"] != 1:
        words.append(f"#{event.data['attempt']}")
    return " ".join(words)
