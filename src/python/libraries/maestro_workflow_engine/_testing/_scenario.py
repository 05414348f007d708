"""What the scenarios of the conformance suite share."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from maestro_workflow_engine._backend import ExecutionBackend
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import Event
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._ports import Clock, StepKind
from maestro_workflow_engine._state import WorkflowState

PATIENCE_S: Final = 20.0
"""How long a scenario waits for something that must happen."""


class Scenarios:
    """Opens the backend that is tested."""

    def open_backend(
        self,
        folder: Path,
        kinds: Mapping[str, StepKind],
        *,
        clock: Clock | None = None,
        max_parallel: int = 16,
        max_output_bytes: int = 1 << 20,
        stop_grace_s: float = 5.0,
    ) -> ExecutionBackend:
        """A backend on this folder, to be opened by the scenario; the same folder means the same workflows."""
        raise NotImplementedError


def define(steps: dict[str, Any], **rest: Any) -> WorkflowDefinition:
    """A definition; a step without a kind is of kind `test`."""
    return parse_definition(
        {"name": "scenario", **rest, "steps": {step_id: {"kind": "test", **step} for step_id, step in steps.items()}}
    )


async def run(backend: ExecutionBackend, definition: WorkflowDefinition, **inputs: Any) -> WorkflowState:
    """Start a workflow and wait for its end."""
    started = await backend.start(definition, inputs)
    return await backend.wait(started.workflow_id, PATIENCE_S)


async def seen(backend: ExecutionBackend, workflow_id: str, type_: str, step: str | None = None) -> Event:
    """Wait for an event to be durable."""
    async with asyncio.timeout(PATIENCE_S):
        async for event in backend.watch(workflow_id):
            if event.type == type_ and step in (None, event.data.get("step")):
                return event
    raise AssertionError(f"the workflow ended without {type_} {step or ''}")


def types_of(events: list[Event], step: str | None = None) -> list[str]:
    """The types of events, of one step or of all."""
    return [event.type for event in events if step is None or event.data.get("step") == step]
