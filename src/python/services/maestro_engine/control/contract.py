"""Shapes on the wire: commands to running workflows, what waits for an answer, and flow limits."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from maestro_workflow_engine import FlowLimit

SignalName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
LimitName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._:-]{0,199}$")]
StepName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}(\.undo)?$")]
Item = Annotated[int | None, Field(default=None, ge=0, le=99_999, description="Which item, when the step maps a list.")]
Reason = Annotated[str | None, Field(default=None, max_length=1000, description="Kept in the history.")]
Amount = Annotated[float, Field(ge=0, le=1e15)]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pause(_Order):
    """Why a workflow is paused."""

    reason: Reason = None


class SendSignal(_Order):
    """What a workflow is told; kept until a step waits for this name."""

    name: SignalName
    payload: Any = None
    id: SignalName | None = Field(None, description="The same id again changes nothing; made up when left out.")


class AnswerStep(_Order):
    """The answer to what a step waits for, in the shape that it asks for."""

    value: Any
    item: Item = None


class Decide(_Order):
    """A person's word on an approval; `data` is what the form asks for."""

    approved: StrictBool
    data: dict[str, Any] = Field(default_factory=dict)
    comment: str | None = Field(None, max_length=4000)
    item: Item = None


class RetryStep(_Order):
    """Which item to try at once, when the step maps a list."""

    item: Item = None


class SkipStep(_Order):
    """Count a step, or one item of it, as done with this output."""

    item: Item = None
    output: Any = None
    reason: Reason = None


class SetBudget(_Order):
    """The limits of the budget; what is left out is free."""

    money_usd: Amount | None = None
    tokens: Amount | None = None
    calls: Amount | None = None
    time_s: Amount | None = None


class SetPriority(_Order):
    """Higher goes first."""

    priority: int = Field(ge=-100, le=100)


class Rerun(_Order):
    """Run a workflow again: what is unchanged is reused, and each step says why, or why not."""

    from_steps: list[StepName] = Field(
        default_factory=list, max_length=1000, description="Run in any case, with all that come after them."
    )
    definition: dict[str, Any] | str | None = Field(None, description="Another definition; null keeps the earlier one.")
    inputs: dict[str, Any] | None = Field(None, description="Other inputs; null keeps the earlier ones.")
    at_seq: int | None = Field(None, ge=1, le=2**53, description="Take the workflow as it was then: a fork.")


class Migrate(_Order):
    """Go on with another definition."""

    definition: dict[str, Any] | str
    rerun: list[StepName] = Field(
        default_factory=list, max_length=1000, description="Ended steps that run again, with all that come after them."
    )
    dry_run: StrictBool = Field(False, description="Only say what would become of each step.")


class Done(BaseModel):
    """The command is stored up to this event."""

    id: str
    seq: int


class MigrationView(BaseModel):
    """What becomes of each step."""

    kept: list[str]
    changed: list[str] = Field(description="Ended and kept, although their definition is another now.")
    restarted: list[str] = Field(description="In flight with another definition: stopped, and begun anew.")
    rerun: list[str]
    dropped: list[str]
    added: list[str]


class CauseView(BaseModel):
    """Why something has not happened yet; `because` holds the causes of this cause."""

    model_config = ConfigDict(extra="allow")
    kind: str
    message: str
    step: str | None = None
    item: int | None = None
    detail: dict[str, Any] = Field(default_factory=dict)
    because: list["CauseView"] = Field(default_factory=list)


class Causes(BaseModel):
    """Why each unfinished step of a workflow has not ended yet; empty when the workflow has ended."""

    items: list[CauseView]


class WaitingView(BaseModel):
    """A run that waits for an answer."""

    workflow_id: str
    workflow_name: str
    step: str
    item: int | None
    on: dict[str, Any] = Field(description="What is waited for: `kind`, and what belongs to that kind.")
    since: datetime
    due_at: datetime | None = Field(description="When it goes on without an answer; null: never.")


class WaitingPage(BaseModel):
    """Runs that wait, the oldest first."""

    items: list[WaitingView]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")


class LimitOrder(_Order):
    """What is allowed under a name, at once and per time; null: no bound."""

    max_parallel: int | None = Field(None, ge=1, le=100_000)
    rate_count: int | None = Field(None, ge=1, le=1_000_000)
    rate_per_s: float = Field(1.0, ge=0.001, le=31_536_000)
    breaker_failures: int | None = Field(
        None, ge=1, le=100_000, description="After so many failed attempts in a row none begins for a while."
    )
    breaker_open_s: float = Field(30.0, ge=0.001, le=86_400)
    is_paused: StrictBool = Field(False, description="While true nothing begins.")

    def named(self, name: str) -> FlowLimit:
        """As the engine takes it."""
        return FlowLimit(name=name, **self.model_dump())


class LimitView(LimitOrder):
    """A flow limit."""

    name: str


class Limits(BaseModel):
    """All flow limits that are set."""

    items: list[LimitView]


class PublishedEvent(BaseModel):
    """An event as CloudEvents 1.0 writes it in JSON; attributes of its own are allowed."""

    model_config = ConfigDict(extra="allow")
    specversion: Annotated[str, StringConstraints(pattern=r"^1\.0$")] = "1.0"
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    type: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    subject: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    data: Any = None


class Delivered(BaseModel):
    """How many runs were waiting for the event, and go on with it."""

    runs: int
