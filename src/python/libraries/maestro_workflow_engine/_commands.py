"""What may be asked of a workflow: by its user, by the runner, and by time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON


@dataclass(frozen=True, slots=True)
class Start:
    """Begin the workflow; `inputs` are resolved already."""

    inputs: Mapping[str, JSON]
    template: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The runner has begun an attempt."""

    step: str
    item: int | None
    attempt: int


@dataclass(frozen=True, slots=True)
class StepSucceeded:
    """An attempt gave a result."""

    step: str
    item: int | None
    attempt: int
    output: JSON | ArtifactRef
    artifacts: tuple[ArtifactRef, ...] = ()


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


@dataclass(frozen=True, slots=True)
class StepWaits:
    """An attempt asks to go on later, and holds no place at the runner until then."""

    step: str
    item: int | None
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StepStopped:
    """The runner has stopped an attempt because its workflow is being cancelled."""

    step: str
    item: int | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Due:
    """The time has come for a run that is retrying or waiting."""

    step: str
    item: int | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the workflow: nothing new starts, and what runs is stopped."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Recover:
    """The engine has opened again: no attempt runs any more."""


Command: TypeAlias = Start | StepStarted | StepSucceeded | StepFailed | StepWaits | StepStopped | Due | Cancel | Recover
