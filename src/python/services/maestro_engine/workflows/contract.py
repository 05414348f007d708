"""Shapes on the wire. Answers are the engine's own JSON, unchanged; the models describe it."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from pydantic.config import JsonDict

from maestro_engine.templates.contract import TemplateRef

WorkflowStatus = Literal["running", "paused", "cancelling", "succeeded", "failed", "cancelled"]
Phase = Literal["main", "compensation", "on_failure", "finally"]
StepStatus = Literal[
    "pending", "scheduled", "running", "waiting", "retrying", "succeeded", "failed", "skipped", "cancelled"
]
Unit = Annotated[str, StringConstraints(pattern=r"^(money_usd|tokens|calls|time_s)$")]
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]

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
    template: TemplateRef = Field(
        default="", description="`name` for the latest version, or `name@version`; `file` is that of the folder."
    )
    inputs: dict[str, Any] = Field(default_factory=dict, description="Values for the inputs that are declared.")
    labels: dict[LabelName, LabelValue] = Field(
        default_factory=dict, max_length=32, description="Kept with the workflow; never read by the engine."
    )

    priority: int | None = Field(
        None, ge=-100, le=100, description="Higher goes first; null is that of the definition."
    )
    budget: dict[Unit, Annotated[float, Field(ge=0, le=1e15)]] | None = Field(
        None, description="Limits in place of those of the definition; what is left out is free."
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
    force: StrictBool = Field(False, description="Leave compensation and `finally` out.")


class ExportWorkflow(BaseModel):
    """What goes into the file, and what is taken out of it."""

    model_config = ConfigDict(extra="forbid")
    redact: StrictBool = Field(
        True, description="Replace values under keys such as `password`, `token`, `authorization`."
    )
    values: list[Annotated[str, StringConstraints(min_length=1, max_length=4096)]] = Field(
        default_factory=list, max_length=100, description="Texts that are replaced wherever they stand."
    )
    artifacts: StrictBool = Field(False, description="Bring the artifacts too; those that would be redacted stay out.")


class Started(BaseModel):
    """The place of the new workflow in history: a reader that starts at `from_seq=1` misses nothing."""

    id: str
    seq: int = Field(description="The last event that is stored already.")
    name: str
    template: str | None
    version: str | None = Field(description="Of the template: the one that it stays on.")
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


class ArtifactEntry(ArtifactView):
    """One artifact of a workflow, and where it comes from."""

    step: str | None = Field(description="The step that it is of; null for the outputs of the workflow.")
    item: int | None = Field(description="Which item of that step, when it maps over a list; from 0.")


class ArtifactPage(BaseModel):
    """Artifacts of one workflow, in the order of its steps."""

    items: list[ArtifactEntry]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")


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
    waits_on: dict[str, Any] | None = Field(
        None, description="What a waiting run waits for: `kind`, and what goes with it."
    )
    iteration: int | None = Field(None, description="Which iteration of a step that repeats, from the second one on.")
    why: str | None = Field(None, description="In a workflow that runs again: why this was reused, or was not.")
    started_at: datetime | None = None
    finished_at: datetime | None = None


class StepView(RunView):
    """One step of a workflow, as of `seq`."""

    items: list[RunView] | None = Field(None, description="The runs of a mapped step, once its list is known.")


class _WorkflowFacts(BaseModel):
    id: str
    name: str
    template: str | None
    labels: dict[str, str]
    status: WorkflowStatus
    started_at: datetime
    finished_at: datetime | None
    error: ErrorView | None
    priority: int


class WorkflowSummaryView(_WorkflowFacts):
    """One workflow in a list."""

    parent: str | None = Field(description="The workflow that it is the child of.")


class WorkflowView(_WorkflowFacts):
    """One workflow with its steps: the fold of its events up to `seq`."""

    model_config = ConfigDict(extra="allow")
    seq: int
    version: str | None = Field(description="The version of the template.")
    phase: Phase
    by: str | None = Field(description="Who started it.")
    parent: dict[str, Any] | None = Field(
        description="The step that it is the child of: `workflow`, `step`, `item`, `depth`."
    )
    origin: dict[str, Any] | None = Field(description="The workflow that it runs again: `workflow`, `seq`, `from`.")
    budget: dict[str, float] | None
    spent: dict[str, float]
    reserved: dict[str, float] = Field(description="What running steps may still use of the budget.")
    signals: list[dict[str, str]] = Field(description="Signals that no step has taken yet.")
    updated_at: datetime
    inputs: dict[str, Any]
    outputs: Any
    outputs_ref: ArtifactView | None = Field(None, description="In place of `outputs` when they are large.")
    failed_step: str | None
    failed_item: int | None = Field(description="Which item of that step failed, when it maps over a list; from 0.")
    reason: str | None = Field(description="Why it was paused or cancelled.")
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
