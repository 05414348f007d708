"""Shapes on the wire: schedules, their starts and their backfills."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic.config import JsonDict

from maestro_engine.schedules.cron import check_cron, time_zone
from maestro_engine.schedules.errors import BadTiming
from maestro_engine.templates.contract import TemplateRef

Overlap = Literal["skip", "queue", "cancel_running", "allow"]
RunKind = Literal["schedule", "backfill", "manual"]
RunState = Literal["pending", "queued", "started", "skipped", "failed"]
ScheduleName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$")]
LabelName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(max_length=256)]

MAX_BACKFILL: Final = 1000
_YEARS: Final = range(1970, 2900)
_LONGEST_S: Final = 366 * 86_400
_NOT_GIVEN: Final[Any] = None


def _as_text(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("a date and a time as of RFC 3339 were expected, 2026-11-21T12:00:00Z for one")
    if isinstance(value, str) and value[4:5] != "-":
        raise ValueError("a date and a time as of RFC 3339 were expected, 2026-11-21T12:00:00Z for one")
    return value


def _in_utc(at: datetime) -> datetime:
    if at.year not in _YEARS or at.microsecond:
        raise ValueError("a time in whole seconds of the years 1970 to 2899 was expected")
    return at.astimezone(UTC)


def _cron(expression: str) -> str:
    try:
        check_cron(expression)
    except BadTiming as error:
        raise ValueError(str(error)) from error
    return expression


def _zone(name: str) -> str:
    try:
        time_zone(name)
    except BadTiming as error:
        raise ValueError(str(error)) from error
    return name


When = Annotated[AwareDatetime, BeforeValidator(_as_text), AfterValidator(_in_utc)]
CronText = Annotated[str, StringConstraints(max_length=200), AfterValidator(_cron)]
ZoneName = Annotated[str, StringConstraints(max_length=100), AfterValidator(_zone)]
Duration = Annotated[int, Field(strict=True, ge=0, le=_LONGEST_S)]

_ONE_OF_EACH: JsonDict = {
    "allOf": [
        {"oneOf": [{"required": [name]} for name in ("cron", "every_s", "at")]},
        {"oneOf": [{"required": [name]} for name in ("template", "definition")]},
    ],
    "examples": [{"template": "report@2", "cron": "30 6 * * MON-FRI", "time_zone": "Europe/Berlin"}],
}


class ScheduleSpec(BaseModel):
    """When a schedule starts workflows, and which."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_ONE_OF_EACH)

    cron: CronText = Field(
        _NOT_GIVEN, description="minute, hour, day of month, month, day of week; or @daily and its like."
    )
    time_zone: ZoneName = Field("UTC", description="Of the cron expression, as in the IANA database: Europe/Berlin.")
    every_s: Annotated[int, Field(strict=True, ge=1, le=_LONGEST_S)] = Field(
        _NOT_GIVEN, description="Seconds between two starts."
    )
    anchor_at: When | None = Field(None, description="A time that `every_s` hits; null is when the schedule was made.")
    at: When = Field(_NOT_GIVEN, description="One start, then.")

    template: TemplateRef = Field(
        _NOT_GIVEN, description="`name` for the version that is the latest then, or `name@version`."
    )
    definition: dict[str, Any] | str = Field(_NOT_GIVEN, description="A definition, or the text of a YAML file.")
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="For the inputs; in texts `${{ schedule.nominal_at }}` and `${{ schedule.name }}` are filled in.",
    )
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict, max_length=32)
    priority: Annotated[int, Field(strict=True, ge=-100, le=100)] | None = Field(
        None, description="Null is that of the definition."
    )

    overlap: Overlap = Field(
        "skip",
        description="When an earlier start of this schedule still runs: skip it, queue, cancel_running, or allow.",
    )
    max_queued: Annotated[int, Field(strict=True, ge=1, le=1000)] = Field(
        10, description="With overlap queue: so many starts may wait; one more is skipped."
    )
    catch_up: Literal["none", "last", "all"] = Field(
        "last", description="Which of the starts that were missed while nothing could start are made up for."
    )
    catch_up_window_s: Duration = Field(86_400, description="What was missed longer ago is skipped.")
    jitter_s: Annotated[int, Field(strict=True, ge=0, le=86_400)] = Field(
        0, description="Each start is put off by a part of this, always the same for the same time."
    )
    paused: StrictBool = False
    start_at: When | None = Field(None, description="The first time that counts.")
    end_at: When | None = Field(None, description="The last time that counts.")
    max_runs: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)] | None = Field(
        None, description="After so many starts by the calendar it ends."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = self.model_fields_set
        if len(given & {"cron", "every_s", "at"}) != 1:
            raise ValueError("give one of cron, every_s and at")
        if len(given & {"template", "definition"}) != 1:
            raise ValueError("give either template or definition")
        if self.time_zone != "UTC" and "cron" not in given:
            raise ValueError("time_zone belongs to cron; every_s and at need none")
        if self.anchor_at is not None and "every_s" not in given:
            raise ValueError("anchor_at belongs to every_s")
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            raise ValueError("end_at is before start_at")
        return self

    def as_kept(self) -> dict[str, Any]:
        """The settings as JSON, defaults filled in, without the ways to say it that were not taken."""
        not_taken = {"cron", "every_s", "at", "template", "definition"} - self.model_fields_set
        return ScheduleSpec.model_dump(self, mode="json", exclude={*not_taken, "name"})


class NewSchedule(ScheduleSpec):
    """A schedule to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            **_ONE_OF_EACH,
            "examples": [
                {
                    "name": "hourly",
                    "every_s": 3600,
                    "definition": {"name": "tick", "steps": {"only": {"kind": "shell", "with": {"command": "date"}}}},
                }
            ],
        }
    )
    name: ScheduleName


class ScheduleView(BaseModel):
    """A schedule. Its `ETag` is the version of its settings: it does not change when something is started."""

    name: str
    settings: ScheduleSpec = Field(description="As PUT takes them.")
    created_at: datetime
    updated_at: datetime
    starts: int = Field(description="How many workflows it has started by the calendar.")
    next_at: datetime | None = Field(description="When it starts next; null while it is paused, and when it has ended.")


class ScheduleSummaryView(BaseModel):
    """One schedule in a list."""

    name: str
    timing: str = Field(description="In short, for people: `30 6 * * MON-FRI Europe/Berlin`, `every 3600 s`.")
    template: str | None = Field(description="Null: it has a definition of its own.")
    paused: bool
    starts: int
    next_at: datetime | None


class SchedulePage(BaseModel):
    """A page of schedules, by name."""

    items: list[ScheduleSummaryView]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")


class UpcomingView(BaseModel):
    """A start to come."""

    nominal_at: datetime = Field(description="The time that the schedule names.")
    due_at: datetime = Field(description="When it starts: with its jitter.")


class UpcomingList(BaseModel):
    """The next starts, as if nothing held them up: pausing and overlap are not looked at."""

    items: list[UpcomingView]


class ScheduleRunView(BaseModel):
    """One start of a schedule, or why there was none."""

    id: int
    kind: RunKind
    nominal_at: datetime
    until_at: datetime | None = Field(
        description="Set where one entry tells of all times from `nominal_at` until then."
    )
    state: RunState = Field(description="`pending` is about to start, `queued` waits for an earlier one to end.")
    reason: str | None = Field(description="Why it was skipped, or failed.")
    workflow_id: str | None
    decided_at: datetime
    started_at: datetime | None
    backfill: str | None


class ScheduleRunPage(BaseModel):
    """A page of starts, the newest decision first."""

    items: list[ScheduleRunView]
    next: int | None = Field(description="Send it as `before` to get the next page; null on the last one.")


class NewBackfill(BaseModel):
    """Times of the past that are started now, whatever `start_at`, `end_at` and `max_runs` say."""

    model_config = ConfigDict(extra="forbid")
    from_at: When
    to_at: When
    max_runs: Annotated[int, Field(strict=True, ge=1, le=MAX_BACKFILL)] = Field(
        100, description="Refused, when there are more times than these."
    )
    max_parallel: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        1, description="So many of its workflows run at once; overlap does not count here."
    )


class BackfillView(BaseModel):
    """How far a backfill has come."""

    id: str
    from_at: datetime
    to_at: datetime
    max_parallel: int
    created_at: datetime
    created_by: str
    total: int
    pending: int
    started: int
    running: int = Field(description="Of those that were started: how many are not known to have ended.")
    skipped: int
    failed: int


class BackfillList(BaseModel):
    """The backfills of a schedule, the newest first."""

    items: list[BackfillView]
