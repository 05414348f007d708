"""Shapes on the wire. Answers are the engine's own JSON, unchanged; the models describe it."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

WorkflowStatus = Literal["running", "cancelling", "succeeded", "failed", "cancelled"]
StepStatus = Literal[
    "pending", "scheduled", "running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"
]
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]
TemplateName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$")]

_ONE_SOURCE: JsonDict = {
    "oneOf": [{"required": ["definition"]}, {"required": ["template"]}],
    "examples": [
        {
            "definition": {
                "name": "hello",
                "inputs": {"who": {"type": "string"}},
                "steps": {"greet": {"kind": "shell", "with": {"command": ["echo", "hello ${{ inputs.who }}"]}}},
            },
            "inputs": {"who": "you"},
            "labels": {"team": "tea"},
        }
    ],
}


class StartWorkflow(BaseModel):
    """What to run: a definition (as JSON, or the text of a YAML file) or the name of a template; and its inputs."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_ONE_SOURCE)
    definition: dict[str, Any] | str = Field(
        default="", description="The definition: an object, or the text of a YAML file (errors then name the line)."
    )
    template: TemplateName = Field(
        default="", description="Name of a YAML file in the templates folder, without `.yml`."
    )
    inputs: dict[str, Any] = Field(default_factory=dict, description="Values for the inputs that are declared.")
    labels: dict[LabelName, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Kept with the workflow; never read by the engine."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.model_fields_set & {"definition", "template"}) != 1:
            raise ValueError("give either definition or template")
        return self


class CancelWorkflow(BaseModel):
    """Why a workflow is cancelled; kept in its history."""

    model_config = ConfigDict(extra="forbid")
    reason: str | None = Field(None, max_length=1000)


class Started(BaseModel):
    """The place of the new workflow in history: a reader that starts at `from_seq=1` misses nothing."""

    id: str
    seq: int = Field(description="The last event that is stored already.")
    name: str
    template: str | None
    url: str
    events_url: str


class Cancelled(BaseModel):
    """The cancellation is stored; steps that run are being stopped."""

    id: str
    seq: int


class ErrorView(BaseModel):
    """Why a step or a workflow failed."""

    model_config = ConfigDict(extra="allow")
    code: str
    message: str
    retryable: bool | None = None


class ArtifactView(BaseModel):
    """A stored file or a large value; GET …/artifacts/{sha256} gives its bytes."""

    sha256: str
    size_bytes: int
    media_type: str
    name: str | None = None


class RunView(BaseModel):
    """One run: of a step, or of one item that the step maps over."""

    model_config = ConfigDict(extra="allow")
    status: StepStatus
    attempt: int
    output: Any = Field(None, description="Present once the run has succeeded with a value that is not large.")
    output_ref: ArtifactView | None = Field(None, description="In place of `output` when the value is large.")
    artifacts: list[ArtifactView] | None = None
    error: ErrorView | None = None
    due_at: datetime | None = Field(None, description="When a retrying run is tried again, or a waiting one goes on.")
    started_at: datetime | None = None
    finished_at: datetime | None = None


class StepView(RunView):
    """One step of a workflow, as of `seq`."""

    items: list[RunView] | None = Field(None, description="The runs of a mapped step, once its list is known.")


class WorkflowSummaryView(BaseModel):
    """One workflow in a list."""

    id: str
    name: str
    template: str | None
    labels: dict[str, str]
    status: WorkflowStatus
    started_at: datetime
    finished_at: datetime | None
    error: ErrorView | None


class WorkflowView(WorkflowSummaryView):
    """One workflow with its steps: the fold of its events up to `seq`."""

    model_config = ConfigDict(extra="allow")
    seq: int
    updated_at: datetime
    inputs: dict[str, Any]
    outputs: Any
    outputs_ref: ArtifactView | None = Field(None, description="In place of `outputs` when they are large.")
    failed_step: str | None
    failed_item: int | None = Field(description="Which item of that step failed, when it maps over a list; from 0.")
    reason: str | None = Field(description="Why it was cancelled.")
    steps: dict[str, StepView]


class WorkflowPage(BaseModel):
    """A page of workflows, newest first."""

    items: list[WorkflowSummaryView]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")


class EventView(BaseModel):
    """One stored event: the same in the journal, in the stream and on the socket."""

    seq: int = Field(description="Counts the events of one workflow: 1, 2, 3 … without a gap.")
    workflow_id: str
    type: str
    at: datetime
    data: dict[str, Any]
    position: int = Field(description="Rises over all workflows.")


class EventPage(BaseModel):
    """A page of one workflow's events, oldest first."""

    items: list[EventView]
    next_from_seq: int | None = Field(description="Send it as `from_seq` to go on; null when nothing follows yet.")
