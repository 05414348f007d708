"""The step kind `approval`: asks a person, and waits for the answer as long as it takes."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from maestro_workflow_engine._errors import BadArguments, BadStepResult
from maestro_workflow_engine._events import time_as_text
from maestro_workflow_engine._form import answer_problems, check_form, filled, form_problems
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds._arguments import (
    Readers,
    duration_s,
    is_open,
    one_of,
    read,
    static_problems,
    title,
)
from maestro_workflow_engine._ports import StepCall, Wait
from maestro_workflow_engine._step_errors import ApprovalRejected, WaitExpired

_MAX_DESCRIPTION: Final = 20_000
_MAX_TO: Final = 100
_MAX_ESCALATIONS: Final = 20


def _description(value: object) -> str:
    if not isinstance(value, str) or len(value) > _MAX_DESCRIPTION:
        raise ValueError(f"a text of at most {_MAX_DESCRIPTION} characters was expected")
    return value


def _to(value: object) -> list[JSON]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_TO:
        raise ValueError(f"a list of 1 to {_MAX_TO} names of users or roles was expected")
    return [title(name) for name in value]


def _form(value: object) -> dict[str, JSON]:
    problems = check_form(value)
    if problems or not isinstance(value, dict):
        raise ValueError("it is no form: " + "; ".join(str(problem) for problem in problems[:5]))
    return value


def _escalate(value: object) -> list[tuple[float, list[JSON]]]:
    if not isinstance(value, list) or len(value) > _MAX_ESCALATIONS:
        raise ValueError(f"a list of at most {_MAX_ESCALATIONS} objects {{after_s, to}} was expected")
    steps = []
    for place, member in enumerate(value):
        if not isinstance(member, dict) or set(member) != {"after_s", "to"}:
            raise ValueError(f"/{place}: an object {{after_s, to}} was expected")
        steps.append((duration_s(member["after_s"]), _to(member["to"])))
    if any(earlier >= later for (earlier, _), (later, _) in itertools.pairwise(steps)):
        raise ValueError("each after_s counts from the beginning, so it is greater than the one before")
    return steps


_READERS: Final[Readers] = {
    "title": title,
    "description": _description,
    "form": _form,
    "to": _to,
    "deadline_s": duration_s,
    "on_deadline": one_of("fail", "approve", "reject"),
    "escalate": _escalate,
    "on_reject": one_of("fail", "continue"),
}


class ApprovalKind:
    """`with: {title, description, form, to, deadline_s, on_deadline, escalate: [{after_s, to}], on_reject}`.

    Gives `{approved, data, comment, by, at}`. A no fails the step with ApprovalRejected unless `on_reject` is
    `continue`; after `deadline_s` it fails with WaitExpired unless `on_deadline` is `approve` or `reject`. Each
    `escalate` asks others from then on. All times count from the first asking; what comes due while the engine is down
    happens when it is up again, and what comes after that keeps its distance.
    """

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from static_problems(arguments, _READERS)
        if "title" not in arguments:
            yield "", "approval needs `title`: what is to be decided, in one line"
        if not is_open(dict(arguments)):
            try:
                values = read(arguments, _READERS, ["title"])
            except BadArguments:  # said above, one by one
                return
            yield from _contradictions(values)

    async def run(self, call: StepCall) -> object:
        """Ask at the first call; then escalate, give up, or hand on the answer."""
        values = read(call.arguments, _READERS, ["title"])
        for path, message in _contradictions(values):
            raise BadArguments(f"/with{path}: {message}")
        if call.answer is not None:
            problems = answer_problems(_on(values, 0), call.answer.value)
            if problems or not isinstance(call.answer.value, dict):
                raise BadStepResult("the answer does not fit: " + "; ".join(str(problem) for problem in problems[:5]))
            return _decided(values, call.answer.value, call.answer.by, time_as_text(call.answer.at))
        stage = call.memo if isinstance(call.memo, int) else -1
        if call.due_at is not None or stage < 0:
            stage += 1
        times = [0.0, *(after_s for after_s, _ in values.get("escalate", []))]
        if stage >= len(times):
            return _expired(values, None if call.due_at is None else time_as_text(call.due_at))
        next_s = times[stage + 1] if stage + 1 < len(times) else values.get("deadline_s")
        return Wait(None if next_s is None else next_s - times[stage], _on(values, stage), stage)

    async def close(self) -> None:
        """Nothing is held."""


def _contradictions(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    deadline_s, escalate = values.get("deadline_s"), values.get("escalate")
    if "on_deadline" in values and deadline_s is None:
        yield "/on_deadline", "it needs `deadline_s`: how long the answer may take"
    if escalate and deadline_s is not None and escalate[-1][0] >= deadline_s:
        yield "/escalate", f"the last after_s is not before the deadline of {deadline_s:g} s"
    if values.get("on_deadline") == "approve" and form_problems(values.get("form", {}), {}):
        yield "/on_deadline", "approve is possible only if each required field of the form has a default"


def _on(values: Mapping[str, Any], stage: int) -> dict[str, JSON]:
    """What the person is shown, and who is asked."""
    on: dict[str, JSON] = {"kind": "approval"}
    on.update({name: values[name] for name in ("title", "description", "form", "to") if name in values})
    if stage:
        on["to"] = values["escalate"][stage - 1][1]
        on["escalation"] = stage
    return on


def _decided(values: Mapping[str, Any], answer: Mapping[str, Any], by: str | None, at: str | None) -> dict[str, JSON]:
    data = answer.get("data") or {}
    comment = answer.get("comment")
    if not answer["approved"] and values.get("on_reject", "fail") == "fail":
        who = by or "the deadline"
        raise ApprovalRejected(f"{values['title']!r} was rejected by {who}" + (f": {comment}" if comment else ""))
    data = filled(values.get("form", {}), data) if answer["approved"] else data
    return {"approved": answer["approved"], "data": data, "comment": comment, "by": by, "at": at}


def _expired(values: Mapping[str, Any], at: str | None) -> dict[str, JSON]:
    what = values.get("on_deadline", "fail")
    if what == "fail":
        raise WaitExpired(f"nobody answered {values['title']!r} within {values['deadline_s']:g} s")
    return _decided(values, {"approved": what == "approve"}, None, at)
