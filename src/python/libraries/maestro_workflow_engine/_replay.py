"""Decides a history anew: from the facts alone, the law must come to every other event that is recorded."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from maestro_workflow_engine import _commands as do
from maestro_workflow_engine import _events as ev
from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._decide import advance
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._events import ArtifactRef, Event, artifact_from_json
from maestro_workflow_engine._fold import apply
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._scope import Load, load_nothing
from maestro_workflow_engine._state import WorkflowState, new_state, snapshot

_BY_CHANCE: Final = frozenset({"retry_at", "until"})
"""What depends on random numbers and on the clock of that moment."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the law comes to something else than what is recorded; `expected` is what the law says, as short text."""

    seq: int
    recorded: str
    expected: str

    def __str__(self) -> str:
        return f"event {self.seq} is {self.recorded}; the law comes to {self.expected}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it: the state at the end, and the first difference, None when there is none."""

    state: WorkflowState
    difference: Difference | None


def replay(
    definition: WorkflowDefinition,
    events: Iterable[Event],
    *,
    definitions: Mapping[str, WorkflowDefinition] | None = None,
    origin: WorkflowState | None = None,
    load: Load = load_nothing,
    redacted: JSON = None,
) -> Replay:
    """Decide a history of one workflow anew, event by event.

    Facts are what steps, people and time reported; all else must follow from them. `definitions` holds those that it
    migrated to, by digest; `origin` is the workflow that it ran again; a value that equals `redacted` fits anything.
    """
    recorded = list(events)
    known = dict(definitions or {})
    state = new_state(definition, recorded[0].workflow_id if recorded else "", lookup=known.__getitem__)
    at = 0
    while at < len(recorded):
        fact = recorded[at]
        count, best = 0, "nothing that is known"
        for command in _candidates(state, fact, known):
            try:
                decided = advance(snapshot(state), command, now=fact.at, random=lambda: 0.0, load=load, origin=origin)
            except WorkflowError as problem:
                best = f"a refusal ({problem})"
                continue
            following = recorded[at : at + len(decided)]
            fitting = _fitting(decided, following, redacted)
            if decided and fitting == len(decided):
                count = fitting
                break
            best = _text(decided[fitting]) if fitting < len(decided) else best
        if not count:
            return Replay(state, Difference(fact.seq, _text(fact), best))
        for event in recorded[at : at + count]:
            apply(state, event)
        at += count
    return Replay(state, None)


def _fitting(decided: list[Event], recorded: list[Event], redacted: JSON) -> int:
    """How many of the first events agree."""
    for number, (mine, theirs) in enumerate(zip(decided, recorded, strict=False)):
        if mine.type != theirs.type or not _fits(mine.data, theirs.data, redacted):
            return number
    return min(len(decided), len(recorded))


def _fits(mine: Any, theirs: Any, redacted: JSON) -> bool:
    if redacted is not None and theirs == redacted:
        return True
    if isinstance(mine, dict) and isinstance(theirs, dict):
        if "outputs_ref" in theirs and "outputs" in mine:  # they were too large for the journal
            return True
        keys = {*mine, *theirs} - _BY_CHANCE
        return all(key in mine and key in theirs and _fits(mine[key], theirs[key], redacted) for key in keys)
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(map(lambda a, b: _fits(a, b, redacted), mine, theirs))
    same: bool = mine == theirs
    return same


def _text(event: Event) -> str:
    where = event.data.get("step") or ""
    item = event.data.get("item")
    return f"{event.type} {where}{'' if item is None else f'[{item}]'}".strip()


def _candidates(state: WorkflowState, event: Event, known: Mapping[str, WorkflowDefinition]) -> Iterator[do.Command]:
    """What may have led to an event that follows from nothing before it."""
    data: dict[str, Any] = event.data
    step, item, by = data.get("step", ""), data.get("item"), data.get("by")
    attempt, usage = data.get("attempt", 0), data.get("usage")
    match event.type:
        case ev.WORKFLOW_STARTED:
            yield do.Start(
                data["inputs"], data.get("template"), data.get("labels"), data.get("priority", 0), data.get("budget"),
                data.get("parent"), data.get("origin"), data.get("version"), by,
            )  # fmt: skip
        case ev.STEP_STARTED:
            yield do.StepStarted(step, item, attempt)
        case ev.STEP_SUCCEEDED | ev.STEP_REPEATED:
            yield do.StepSucceeded(step, item, attempt, _output(data), _artifacts(data), usage)
        case ev.STEP_FAILED:
            error = data["error"]
            yield do.StepFailed(step, item, attempt, error["code"], error["message"], error["retryable"], usage=usage)
            if step in state.steps:  # `until` has failed: the output itself is not recorded
                yield do.StepSucceeded(step, item, attempt, None, (), usage)
            yield do.Due(step, item)
        case ev.STEP_WAITING:
            seconds = 1.0 if "until" in data else None
            yield do.StepWaits(step, item, attempt, seconds, data.get("on"), data.get("memo"))
            yield do.Due(step, item)
        case ev.STEP_SCHEDULED:
            yield do.Due(step, item)
            yield do.RetryNow(step, item)
        case ev.STEP_ANSWERED:
            yield do.Answer(step, item, data["answer"], by)
        case ev.STEP_SKIPPED:
            yield do.Skip(step, item, data.get("output"), data.get("reason"), by)
        case ev.STEP_CANCELLED:
            yield do.StepStopped(step, item, state.place((step, item)).attempt)
            yield do.Recover()
            yield do.StepWaits(step, item, state.place((step, item)).attempt, 1.0)
            yield do.StepSucceeded(step, item, state.place((step, item)).attempt, None)
        case _:
            yield from _whole(event, known)


def _whole(event: Event, known: Mapping[str, WorkflowDefinition]) -> Iterator[do.Command]:
    data, by = event.data, event.data.get("by")
    match event.type:
        case ev.SIGNAL_RECEIVED:
            yield do.Signal(data["name"], data["payload"], data["id"], by)
        case ev.WORKFLOW_CANCEL_REQUESTED:
            yield do.Cancel(data.get("reason"), by, data.get("force", False))
        case ev.WORKFLOW_PAUSED:
            yield do.Pause(data.get("reason"), by)
        case ev.WORKFLOW_RESUMED:
            yield do.Resume(by)
        case ev.WORKFLOW_TIMED_OUT:
            yield do.TimeUp()
        case ev.WORKFLOW_BUDGET_CHANGED:
            yield do.ChangeBudget(data["budget"], by)
        case ev.WORKFLOW_PRIORITY_CHANGED:
            yield do.ChangePriority(data["priority"], by)
        case ev.WORKFLOW_MIGRATED if data["definition"] in known:
            yield do.Migrate(known[data["definition"]], frozenset(data.get("from", ())), by)


def _output(data: Mapping[str, Any]) -> JSON | ArtifactRef:
    reference = data.get("output_ref")
    return data.get("output") if reference is None else artifact_from_json(reference)


def _artifacts(data: Mapping[str, Any]) -> tuple[ArtifactRef, ...]:
    return tuple(artifact_from_json(artifact) for artifact in data.get("artifacts", ()))
