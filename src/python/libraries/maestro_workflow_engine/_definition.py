"""A workflow definition as frozen values: what a definition document means once it has been checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._inputs import resolved_inputs
from maestro_workflow_engine._json import JSON

InputType = Literal["string", "integer", "number", "boolean", "array", "object"]


class Missing(Enum):
    """The type of MISSING."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return self.value


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One declared input; it is required when `default` is MISSING, and may be left null when `default` is None."""

    type: InputType
    default: JSON | Missing = MISSING
    description: str | None = None
    enum: tuple[JSON, ...] | None = None

    @property
    def is_required(self) -> bool:
        """Whether a start must give it."""
        return self.default is MISSING


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a step is tried, and how long is waited in between; `jitter` is the random share of a wait (0 to 1)."""

    max_attempts: int = 1
    initial_delay_s: float = 1.0
    multiplier: float = 2.0
    max_delay_s: float = 60.0
    jitter: float = 0.5

    def delay_s(self, failures: int, random: float) -> float:
        """Seconds to wait after the given number of failures (1, 2, …); `random` is drawn from 0 to 1."""
        try:
            longest = min(self.max_delay_s, self.initial_delay_s * self.multiplier ** (failures - 1))
        except OverflowError:
            longest = self.max_delay_s
        return longest * (1.0 - self.jitter * random)


@dataclass(frozen=True, slots=True)
class MapOver:
    """One run per item of the list that `items` renders to; `max_parallel` None means as many as the engine allows."""

    items: Template
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `needs` holds the declared and the implied ones, sorted."""

    id: str
    kind: str
    arguments: Template
    needs: tuple[str, ...] = ()
    when: Template | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float | None = None
    map: MapOver | None = None


@dataclass(frozen=True)
class WorkflowDefinition:
    """A checked definition; `steps` are in topological order, ties in document order.

    `document` is the plain JSON data that it was made from and `digest` the SHA-256 of its canonical JSON:
    parsing `document` again gives an equal definition.
    """

    name: str
    description: str | None
    inputs: Mapping[str, InputSpec]
    tools: Template
    steps: Mapping[str, Step]
    dependents: Mapping[str, tuple[str, ...]]
    outputs: Template
    document: Mapping[str, JSON]
    digest: str

    def resolve_inputs(self, given: Mapping[str, object]) -> dict[str, JSON]:
        """The inputs of one start, defaults filled in; raises InvalidInputs with all problems."""
        return resolved_inputs(self.inputs, given)
