"""What may be asked of a workflow: by its user, by the runner, and by time.

`by` says who asks, for the journal; None where nobody is known.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON


@dataclass(frozen=True, slots=True)
class Start:
    """Begin the workflow; `inputs` are resolved already."""

    inputs: Mapping[str, JSON]
    template: str | None = None
    labels: Mapping[str, str] | None = None
    priority: int | None = None
    """None: that of the definition."""
    budget: Mapping[str, float] | None = None
    """None: that of the definition."""
    parent: Mapping[str, JSON] | None = None
    """`{workflow, step, item, depth}` of the step that this is the child of."""
    origin: Mapping[str, JSON] | None = None
    """`{workflow, seq, from}` of the workflow that this one runs again, and the steps that are asked to run anew."""
    version: str | None = None
    """The version of the template."""
    by: str | None = None


# --- from the runner ---


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The runner has begun an attempt."""

    step: str
    item: int | None
    attempt: int


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """An attempt gave a result; `usage` is what it used of the budget, where its kind knows."""

    step: str
    item: int | None
    attempt: int
    output: JSON | ArtifactRef
    artifacts: tuple[ArtifactRef, ...] = ()
    usage: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class StepFailed:
    """An attempt failed; `retry_after_s` is what the other side asked for."""

    step: str
    item: int | None
    attempt: int
    code: str
    message: str
    retryable: bool
    retry_after_s: float | None = None
    usage: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class StepWaits:
    """An attempt asks to go on later, and holds no place at the runner until then.

    It goes on after `seconds` (None: never by time alone) or once what it waits `on` has been answered; `memo` is
    given back to it then.
    """

    step: str
    item: int | None
    attempt: int
    seconds: float | None
    on: Mapping[str, JSON] | None = None
    memo: JSON = None


@dataclass(frozen=True, slots=True)
class StepStopped:
    """The runner has stopped an attempt because its workflow is being cancelled, or its time is up."""

    step: str
    item: int | None
    attempt: int


# --- from time and the engine ---


@dataclass(frozen=True, slots=True)
class Due:
    """The time has come for a run that is retrying or waiting."""

    step: str
    item: int | None


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The workflow has run for its `timeout_s`."""


@dataclass(frozen=True, slots=True)
class Recover:
    """The engine has opened again: no attempt runs any more."""


# --- from its user ---


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the workflow: nothing new starts, what runs is stopped; `force` leaves out compensation and finally."""

    reason: str | None = None
    by: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Start nothing more until it is resumed; what runs may end."""

    reason: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on after a pause."""

    by: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """Tell the workflow something; kept until a step waits for `name`. The same `id` again changes nothing."""

    name: str
    payload: JSON
    id: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer what a run waits for (its `on`), checked already."""

    step: str
    item: int | None
    value: JSON
    by: str | None = None


@dataclass(frozen=True, slots=True)
class RetryNow:
    """Try a retrying run at once."""

    step: str
    item: int | None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """Count a step, or one item of it, as done with this output; what it was doing is stopped."""

    step: str
    item: int | None
    output: JSON = None
    reason: str | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeBudget:
    """Set the limits of the budget; units that are not named are free."""

    budget: Mapping[str, float]
    by: str | None = None


@dataclass(frozen=True, slots=True)
class ChangePriority:
    """Set the priority."""

    priority: int
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Migrate:
    """Go on with another definition; `rerun` names ended steps that run again, with all that come after them."""

    definition: WorkflowDefinition
    rerun: frozenset[str] = field(default_factory=frozenset)
    by: str | None = None


Command: TypeAlias = (
    Start
    | StepStarted
    | StepSucceeded
    | StepFailed
    | StepWaits
    | StepStopped
    | Due
    | TimeUp
    | Recover
    | Cancel
    | Pause
    | Resume
    | Signal
    | Answer
    | RetryNow
    | Skip
    | ChangeBudget
    | ChangePriority
    | Migrate
)
