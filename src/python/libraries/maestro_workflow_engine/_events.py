"""What happens to a workflow, as facts: the only thing that the journal holds and that leaves the engine."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._json import JSON

EventData: TypeAlias = dict[str, Any]
Decided: TypeAlias = tuple[str, EventData]

WORKFLOW_STARTED: Final = "workflow.started"
STEP_SCHEDULED: Final = "step.scheduled"
STEP_EXPANDED: Final = "step.expanded"
STEP_STARTED: Final = "step.started"
STEP_WAITING: Final = "step.waiting"
STEP_SUCCEEDED: Final = "step.succeeded"
STEP_FAILED: Final = "step.failed"
STEP_SKIPPED: Final = "step.skipped"
STEP_CANCELLED: Final = "step.cancelled"
WORKFLOW_CANCEL_REQUESTED: Final = "workflow.cancel_requested"
WORKFLOW_SUCCEEDED: Final = "workflow.succeeded"
WORKFLOW_FAILED: Final = "workflow.failed"
WORKFLOW_CANCELLED: Final = "workflow.cancelled"
WORKFLOW_PAUSED: Final = "workflow.paused"
WORKFLOW_RESUMED: Final = "workflow.resumed"
WORKFLOW_PHASE_ENTERED: Final = "workflow.phase_entered"
WORKFLOW_TIMED_OUT: Final = "workflow.timed_out"
WORKFLOW_MIGRATED: Final = "workflow.migrated"
WORKFLOW_BUDGET_CHANGED: Final = "workflow.budget_changed"
WORKFLOW_PRIORITY_CHANGED: Final = "workflow.priority_changed"
SIGNAL_RECEIVED: Final = "signal.received"
STEP_ANSWERED: Final = "step.answered"
STEP_REPEATED: Final = "step.repeated"
STEP_REUSED: Final = "step.reused"

# The journal stores a type as its index in this tuple: append only, never reorder.
EVENT_TYPES: Final = (
    WORKFLOW_STARTED,
    STEP_SCHEDULED,
    STEP_EXPANDED,
    STEP_STARTED,
    STEP_WAITING,
    STEP_SUCCEEDED,
    STEP_FAILED,
    STEP_SKIPPED,
    STEP_CANCELLED,
    WORKFLOW_CANCEL_REQUESTED,
    WORKFLOW_SUCCEEDED,
    WORKFLOW_FAILED,
    WORKFLOW_CANCELLED,
    WORKFLOW_PAUSED,
    WORKFLOW_RESUMED,
    WORKFLOW_PHASE_ENTERED,
    WORKFLOW_TIMED_OUT,
    WORKFLOW_MIGRATED,
    WORKFLOW_BUDGET_CHANGED,
    WORKFLOW_PRIORITY_CHANGED,
    SIGNAL_RECEIVED,
    STEP_ANSWERED,
    STEP_REPEATED,
    STEP_REUSED,
)
TERMINAL_TYPES: Final = frozenset({WORKFLOW_SUCCEEDED, WORKFLOW_FAILED, WORKFLOW_CANCELLED})


@dataclass(frozen=True, slots=True)
class Event:
    """One fact about one workflow; `seq` counts 1, 2, 3, … within it and `position` grows over all workflows."""

    seq: int
    workflow_id: str
    type: str
    at: datetime
    data: EventData
    position: int = 0

    def as_json(self) -> dict[str, JSON]:
        """The one shape of an event in the journal, on a stream and on a socket."""
        return {
            "seq": self.seq,
            "workflow_id": self.workflow_id,
            "type": self.type,
            "at": time_as_text(self.at),
            "data": self.data,
            "position": self.position,
        }


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A value kept in the artifact store under its SHA-256; `name` is what its writer called it."""

    sha256: str
    size_bytes: int
    media_type: str
    name: str | None = None

    def as_json(self) -> dict[str, JSON]:
        """The shape of a reference inside events and outputs."""
        shape: dict[str, JSON] = {
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "media_type": self.media_type,
        }
        if self.name is not None:
            shape["name"] = self.name
        return shape


def artifact_from_json(shape: Mapping[str, Any]) -> ArtifactRef:
    """The reference that `as_json` gave."""
    return ArtifactRef(shape["sha256"], shape["size_bytes"], shape["media_type"], shape.get("name"))


def time_as_text(at: datetime) -> str:
    """A time as RFC 3339 in UTC with microseconds and Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_from_text(text: str) -> datetime:
    """The time that `time_as_text` gave."""
    return datetime.fromisoformat(text)
