"""The step kind `approval`: asking, escalating, deadlines and answers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import (
    Answered,
    ApprovalRejected,
    BadArguments,
    BadStepResult,
    StepCall,
    Wait,
    WaitExpired,
    builtin_step_kinds,
)
from maestro_workflow_engine.testing import make_call

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}, "note": {"type": "string", "default": "none"}},
    "required": ["amount"],
}


async def run(call: StepCall) -> object:
    """Call the kind."""
    return await builtin_step_kinds()["approval"].run(call)


def answered(value: Any, by: str | None = "ada") -> Answered:
    """What a person said."""
    return Answered(value, by, NOW)


async def test_it_asks_and_hands_on_the_answer(tmp_path: Path) -> None:
    """Who answered, when, the data of the form with its defaults, and the comment."""
    arguments: dict[str, Any] = {"title": "Pay?", "description": "an invoice", "form": FORM, "to": ["finance"]}
    wait = await run(make_call(tmp_path, arguments))
    assert wait == Wait(None, {"kind": "approval", **arguments}, 0)
    answer = answered({"approved": True, "data": {"amount": 5}, "comment": "fine"})
    assert await run(make_call(tmp_path, arguments, answer=answer, memo=0)) == {
        "approved": True,
        "data": {"note": "none", "amount": 5},
        "comment": "fine",
        "by": "ada",
        "at": "2026-05-01T12:00:00.000000Z",
    }


async def test_a_no_fails_the_step_unless_it_is_told_to_go_on(tmp_path: Path) -> None:
    """Trying again would not make it a yes; whoever says no need not fill in the form."""
    answer = answered({"approved": False, "comment": "too much"})
    with pytest.raises(ApprovalRejected, match="'Pay\\?' was rejected by ada: too much") as caught:
        await run(make_call(tmp_path, {"title": "Pay?", "form": FORM}, answer=answer))
    assert not caught.value.retryable
    output = await run(make_call(tmp_path, {"title": "Pay?", "form": FORM, "on_reject": "continue"}, answer=answer))
    assert isinstance(output, dict)
    assert (output["approved"], output["data"], output["comment"]) == (False, {}, "too much")


@pytest.mark.parametrize(
    "value",
    [None, "yes", {}, {"approved": "true"}, {"approved": True, "data": {"amount": 0}}, {"approved": True}],
)
async def test_an_answer_that_does_not_fit_fails_the_step(tmp_path: Path, value: Any) -> None:
    """Whoever let it through."""
    with pytest.raises(BadStepResult, match="the answer does not fit"):
        await run(make_call(tmp_path, {"title": "Pay?", "form": FORM}, answer=answered(value)))


async def test_it_asks_others_as_time_goes_by_and_gives_up_at_the_deadline(tmp_path: Path) -> None:
    """Each stage is one wait; together they last until the deadline."""
    arguments = {
        "title": "Pay?",
        "to": ["ada"],
        "deadline_s": 100,
        "escalate": [{"after_s": 10, "to": ["boss"]}, {"after_s": 40, "to": ["board", "boss"]}],
    }
    stages = []
    wait = await run(make_call(tmp_path, arguments))
    for _ in range(3):
        assert isinstance(wait, Wait)
        assert wait.on is not None
        stages.append((wait.seconds, wait.on["to"], wait.on.get("escalation")))
        call = make_call(tmp_path, arguments, due_at=NOW, memo=wait.memo)
        if len(stages) < 3:
            wait = await run(call)
    assert stages == [(10, ["ada"], None), (30, ["boss"], 1), (60, ["board", "boss"], 2)]
    with pytest.raises(WaitExpired, match=r"nobody answered 'Pay\?' within 100 s"):
        await run(call)


@pytest.mark.parametrize(("on_deadline", "approved"), [("approve", True), ("reject", False)])
async def test_the_deadline_may_decide(tmp_path: Path, on_deadline: str, approved: bool) -> None:
    """With the defaults of the form; a no by deadline is a no."""
    form = {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}, "required": ["n"]}
    arguments = {"title": "Go?", "form": form, "deadline_s": 5, "on_deadline": on_deadline, "on_reject": "continue"}
    assert await run(make_call(tmp_path, arguments, due_at=NOW, memo=0)) == {
        "approved": approved,
        "data": {"n": 3} if approved else {},
        "comment": None,
        "by": None,
        "at": "2026-05-01T12:00:00.000000Z",
    }
    if not approved:
        with pytest.raises(ApprovalRejected, match="rejected by the deadline"):
            await run(make_call(tmp_path, {**arguments, "on_reject": "fail"}, due_at=NOW, memo=0))


async def test_called_again_after_a_crash_it_asks_the_same(tmp_path: Path) -> None:
    """The stage is in the memo, so it is neither skipped nor repeated."""
    arguments = {"title": "Pay?", "escalate": [{"after_s": 10, "to": ["boss"]}]}
    first = await run(make_call(tmp_path, arguments, due_at=NOW, memo=0))
    assert first == await run(make_call(tmp_path, arguments, due_at=NOW, memo=0))
    assert first == Wait(None, {"kind": "approval", "title": "Pay?", "to": ["boss"], "escalation": 1}, 1)


@pytest.mark.parametrize(
    ("arguments", "where", "what"),
    [
        ({}, "", "approval needs `title`"),
        ({"title": "a\nb"}, "/title", "printable"),
        ({"title": {}}, "/title", "printable"),
        ({"title": "t", "description": 3}, "/description", "a text"),
        ({"title": "t", "description": "x" * 20_001}, "/description", "at most 20000"),
        ({"title": "t", "to": []}, "/to", "a list of 1 to 100"),
        ({"title": "t", "to": "ada"}, "/to", "a list of 1 to 100"),
        ({"title": "t", "to": [""]}, "/to", "printable"),
        ({"title": "t", "form": {"type": "array"}}, "/form", "it is no form"),
        ({"title": "t", "form": "x"}, "/form", "it is no form"),
        ({"title": "t", "deadline_s": "soon"}, "/deadline_s", "a number of seconds"),
        ({"title": "t", "deadline_s": 1e12}, "/deadline_s", "ten years"),
        ({"title": "t", "on_deadline": "maybe", "deadline_s": 1}, "/on_deadline", "one of fail, approve, reject"),
        ({"title": "t", "on_deadline": "approve"}, "/on_deadline", "needs `deadline_s`"),
        ({"title": "t", "on_reject": 1}, "/on_reject", "one of fail, continue"),
        ({"title": "t", "escalate": {}}, "/escalate", "a list of at most 20"),
        ({"title": "t", "escalate": [{"after_s": 1}]}, "/escalate", "{after_s, to}"),
        ({"title": "t", "escalate": [{"after_s": 1, "to": []}]}, "/escalate", "a list of 1 to 100"),
        (
            {"title": "t", "escalate": [{"after_s": 2, "to": ["a"]}, {"after_s": 2, "to": ["b"]}]},
            "/escalate",
            "greater than the one before",
        ),
        (
            {"title": "t", "deadline_s": 2, "escalate": [{"after_s": 2, "to": ["a"]}]},
            "/escalate",
            "not before the deadline",
        ),
        ({"title": "t", "form": FORM, "deadline_s": 1, "on_deadline": "approve"}, "/on_deadline", "has a default"),
        ({"title": "t", "too": ["a"]}, "/too", "did you mean 'to'"),
    ],
)
async def test_bad_arguments_are_found_before_and_at_the_call(
    tmp_path: Path, arguments: dict[str, Any], where: str, what: str
) -> None:
    """Each at its place."""
    found = list(builtin_step_kinds()["approval"].check(arguments, {}))
    assert any(path == where and what in message for path, message in found), found
    if where != "/too":
        with pytest.raises(BadArguments, match=f"^/with{where}"):
            await run(make_call(tmp_path, arguments))


def test_what_holds_an_expression_is_not_judged_yet() -> None:
    """Only the run knows what it is; what is plain beside it is judged all the same."""
    check = builtin_step_kinds()["approval"].check
    open_ = "${{ inputs.x }}"
    names = ("title", "description", "form", "to", "deadline_s", "on_deadline", "escalate", "on_reject")
    assert not list(check(dict.fromkeys(names, open_), {}))
    assert list(check({"title": open_, "to": []}, {})) == [
        ("/to", "a list of 1 to 100 names of users or roles was expected")
    ]
