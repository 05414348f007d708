"""An engine as small as can be: it calls a step kind again as its Waits say, and the time is the test's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from maestro_tools import McpKind, Wait

FORM = {"type": "object", "properties": {"name": {"type": "string", "minLength": 2}}, "required": ["name"]}


@dataclass(frozen=True)
class Answered:
    """As the engine gives it."""

    value: Any


@dataclass(frozen=True)
class StepCall:
    """What the engine gives, as far as a kind may look."""

    arguments: Mapping[str, Any]
    tools: Mapping[str, Any]
    timeout_s: float | None = None
    idempotency_key: str = "workflow/step/1"
    base_dir: Path = field(default_factory=Path.cwd)
    answer: Answered | None = None
    memo: Any = None

    def after(self, wait: Wait, answer: Any = None) -> "StepCall":
        """The call that goes on after a Wait; the memo goes through a journal."""
        given = None if answer is None else Answered(answer)
        return replace(self, memo=json.loads(json.dumps(wait.memo)), answer=given)


class Clock:
    """Seconds since 1970, as a test wants them."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def step(source: Mapping[str, Any], tool: str, arguments: Mapping[str, Any], folder: Path, **more: Any) -> StepCall:
    """A step that calls a tool of the only source there is."""
    return StepCall({"server": "srv", "tool": tool, "arguments": arguments}, {"srv": source}, base_dir=folder, **more)


async def waits(kind: McpKind, call: StepCall) -> Wait:
    """The Wait that a call must give."""
    result = await kind.run(call)
    assert isinstance(result, Wait), result
    json.dumps([result.on, result.memo])
    return result


def form(message: str = "Who?", schema: Any = None) -> dict[str, Any]:
    """The params of a question."""
    return {"message": message, "requestedSchema": FORM if schema is None else schema}
