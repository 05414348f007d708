"""Builds definitions in Python; what it makes is a document like any other, and is checked like one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Required, TypeAlias, TypedDict

from maestro_workflow_engine._builder_expressions import Expression, Value, plain
from maestro_workflow_engine._definition import MISSING, InputType, Missing, WorkflowDefinition
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._parse_steps import CheckedKind

Arguments: TypeAlias = Mapping[str, Value]


class Retry(TypedDict, total=False):
    """How often a step is tried, and how long is waited in between."""

    max_attempts: int
    initial_delay_s: float
    multiplier: float
    max_delay_s: float
    jitter: float


class Map(TypedDict, total=False):
    """The list that a step runs over, and how many items at once."""

    items: Required[Expression | Sequence[Value]]
    max_parallel: int


class Joining(TypedDict, total=False):
    """How many of the needed steps must have succeeded, and whether the others are skipped then."""

    count: Required[int | Literal["any"]]
    cancel_rest: bool


class Repeating(TypedDict, total=False):
    """Until when a step runs again, and how often at most."""

    until: Required[Expression]
    max_iterations: Required[int]
    delay_s: float


class Limit(TypedDict, total=False):
    """A flow limit with its figures."""

    name: Required[str | Expression]
    max_parallel: int
    rate_count: int
    rate_per_s: float


class Concurrent(TypedDict, total=False):
    """How many workflows of one key run at once."""

    key: Required[str | Expression]
    limit: int
    when_full: Literal["queue", "cancel_oldest"]


Undo = TypedDict(
    "Undo", {"kind": Required[str], "with": Arguments, "retry": int | Retry, "timeout_s": float}, total=False
)


class StepHandle:
    """A step that was added: read `output`, `status` and `error`, or name it in `needs`."""

    __slots__ = ("id",)

    def __init__(self, id_: str) -> None:
        self.id = id_

    @property
    def output(self) -> Expression:
        """What it gave; of a step with `map` the list of all."""
        return self._field("output")

    @property
    def status(self) -> Expression:
        """How it ended."""
        return self._field("status")

    @property
    def error(self) -> Expression:
        """Why it failed, or null."""
        return self._field("error")

    def __repr__(self) -> str:
        return f"StepHandle({self.id!r})"

    def _field(self, name: str) -> Expression:
        return Expression("steps")[self.id][name]


class Block:
    """Some steps that run in one phase."""

    def __init__(self) -> None:
        self._steps: dict[str, JSON] = {}

    def step(
        self,
        id_: str,
        kind: str | None = None,
        arguments: Arguments | None = None,
        *,
        needs: Iterable[StepHandle | str] | None = None,
        join: Literal["all", "any"] | int | Joining | None = None,
        when: Expression | bool | None = None,
        map: Expression | Sequence[Value] | Map | None = None,
        repeat: Repeating | None = None,
        retry: int | Retry | None = None,
        timeout_s: float | None = None,
        on_error: Literal["fail", "continue"] | None = None,
        compensate: Undo | None = None,
        limits: Sequence[str | Expression | Limit] | None = None,
        cost: Mapping[str, float | Expression] | None = None,
        body: "Workflow | None" = None,
    ) -> StepHandle:
        """Add a step: `arguments` is what a document calls `with`, and None leaves a key out."""
        if id_ in self._steps:
            raise ValueError(f"there is a step {id_!r} already: choose another id")
        keys = {
            "kind": kind,
            "with": arguments,
            "needs": None if needs is None else [step if isinstance(step, str) else step.id for step in needs],
            "join": join,
            "when": when,
            "map": {"items": map} if isinstance(map, Expression | Sequence) else map,
            "repeat": repeat,
            "retry": retry,
            "timeout_s": timeout_s,
            "on_error": on_error,
            "compensate": compensate,
            "limits": limits,
            "cost": cost,
            "body": None if body is None else body.document(),
        }
        self._steps[id_] = _given(keys)
        return StepHandle(id_)


class Workflow(Block):
    """A workflow in the making; `step` adds to its main steps, `on_failure.step` and `finally_.step` to the others.

    A workflow that becomes the `body` of a step needs no name.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        description: str | None = None,
        priority: int | None = None,
        timeout_s: float | None = None,
        concurrency: str | Expression | Concurrent | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.on_failure = Block()
        self.finally_ = Block()
        self._head = _given(
            {
                "name": name,
                "description": description,
                "priority": priority,
                "timeout_s": timeout_s,
                "concurrency": {"key": concurrency} if isinstance(concurrency, str | Expression) else concurrency,
                "budget": budget,
            }
        )
        self._inputs: dict[str, JSON] = {}
        self._tools: dict[str, JSON] = {}
        self._outputs: dict[str, JSON] = {}

    def input(
        self,
        name: str,
        type_: InputType,
        *,
        default: JSON | Missing = MISSING,
        description: str | None = None,
        enum: Sequence[JSON] | None = None,
    ) -> Expression:
        """Declare an input; it is required unless it has a default, and `default=None` lets it be null."""
        keys = _given({"type": type_, "description": description, "enum": enum})
        _add(self._inputs, name, keys if default is MISSING else {**keys, "default": plain(default)}, "input")
        return Expression("inputs")[name]

    def tool(self, name: str, source: Arguments) -> str:
        """Name a source of tools; gives the name back, for the arguments of the steps that call it."""
        _add(self._tools, name, plain(source), "source of tools")
        return name

    def output(self, name: str, value: Value) -> None:
        """Name something that the workflow gives back."""
        _add(self._outputs, name, plain(value), "output")

    def document(self) -> dict[str, JSON]:
        """The document that says the same: plain data that shares nothing with this workflow."""
        parts = {
            "inputs": self._inputs,
            "tools": self._tools,
            "steps": self._steps,
            "on_failure": self.on_failure._steps,
            "finally": self.finally_._steps,
            "outputs": self._outputs,
        }
        return {**_given(self._head), **_given({key: part for key, part in parts.items() if part})}

    def definition(self, *, kinds: Mapping[str, CheckedKind] | None = None) -> WorkflowDefinition:
        """The checked definition; raises InvalidDefinition with all problems."""
        return parse_definition(self.document(), kinds=kinds)


def _given(keys: Mapping[str, object]) -> dict[str, JSON]:
    """The keys that were given, as plain data."""
    return {key: plain(value) for key, value in keys.items() if value is not None}


def _add(members: dict[str, JSON], name: str, member: JSON, what: str) -> None:
    if name in members:
        raise ValueError(f"the {what} {name!r} is there already: choose another name")
    members[name] = member
