"""A workflow definition as frozen values: what a definition document means once it has been checked."""

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import Final, Literal, TypeAlias

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._inputs import resolved_inputs
from maestro_workflow_engine._json import JSON, canonical_digest

InputType = Literal["string", "integer", "number", "boolean", "array", "object"]
Phase: TypeAlias = Literal["main", "compensation", "on_failure", "finally"]
"""The part of a workflow that a step belongs to, in the order in which they run."""
PHASES: Final[tuple[Phase, ...]] = ("main", "compensation", "on_failure", "finally")
UNITS: Final = ("money_usd", "tokens", "calls", "time_s")
"""What a budget can count."""


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
class Join:
    """How many of the needed steps must have succeeded; `cancel_rest` then skips those that have not ended."""

    count: int
    cancel_rest: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """Run again until `until` is true, `delay_s` apart; not true after `max_iterations` runs fails the step."""

    until: Template
    max_iterations: int
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A flow limit that the attempts of a step count against.

    `name` renders to its name. The figures hold unless the engine was told others for that name; None: no bound.
    """

    name: Template
    max_parallel: int | None = None
    rate_count: int | None = None
    rate_per_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many workflows of one key run at once; `when_full` says what happens to one more, or to the oldest."""

    key: Template
    limit: int = 1
    when_full: Literal["queue", "cancel_oldest"] = "queue"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `needs` holds the declared and the implied ones, sorted, all of its own phase."""

    id: str
    kind: str
    arguments: Template
    needs: tuple[str, ...] = ()
    when: Template | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout_s: float | None = None
    map: MapOver | None = None
    phase: Phase = "main"
    join: Join | None = None
    """None: all of the needed steps must have ended well."""
    repeat: Repeat | None = None
    tolerates_failure: bool = False
    """`on_error: continue`: when it fails for good, the workflow goes on; an item's output is then null."""
    undoes: str | None = None
    """The step that this one compensates; its id is then `<that step>.undo`."""
    limits: tuple[LimitUse, ...] = ()
    cost: Template | None = None
    """Renders to what one attempt reserves of the budget, from unit to number."""
    body: "WorkflowDefinition | None" = None
    """The definition of the child workflow, when it is written in place."""
    source: Mapping[str, JSON] = field(default_factory=dict, repr=False, compare=False)
    """What it was read from."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of what decides its result: the step without retry, timeout, limits and cost.

        Worked out when asked for: for ten thousand steps that takes as long as a fifth of all checks of them.
        """
        deciding: dict[str, JSON] = {"kind": self.kind}
        for key in ("with", "when", "repeat", "body"):
            if key in self.source:
                deciding[key] = self.source[key]
        if isinstance(over := self.source.get("map"), dict):
            deciding["map"] = over.get("items")
        return canonical_digest(deciding)


@dataclass(frozen=True)
class WorkflowDefinition:
    """A checked definition; `steps` are in topological order within their phase, ties in document order.

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
    priority: int = 0
    timeout_s: float | None = None
    concurrency: Concurrency | None = None
    budget: Mapping[str, float] | None = None

    def resolve_inputs(self, given: Mapping[str, object]) -> dict[str, JSON]:
        """The inputs of one start, defaults filled in; raises InvalidInputs with all problems."""
        return resolved_inputs(self.inputs, given)

    def of_phase(self, phase: Phase) -> list[Step]:
        """The steps of one phase, in order."""
        return [step for step in self.steps.values() if step.phase == phase]

    def bodies(self) -> "list[WorkflowDefinition]":
        """Every definition that is written in place of a child workflow, at any depth."""
        found: list[WorkflowDefinition] = []
        for step in self.steps.values():
            if step.body is not None:
                found += [step.body, *step.body.bodies()]
        return found
