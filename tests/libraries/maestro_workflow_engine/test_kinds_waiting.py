"""The step kinds `signal`, `event` and `workflow`: what they wait on, and what they make of the answer."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import (
    Answered,
    BadArguments,
    ChildFailed,
    StepCall,
    Wait,
    WaitExpired,
    builtin_step_kinds,
)
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds._event import matches
from maestro_workflow_engine.testing import make_call

NOW = datetime(2026, 5, 1, tzinfo=UTC)


async def run(kind: str, call: StepCall) -> object:
    """Call a built-in kind."""
    return await builtin_step_kinds()[kind].run(call)


def answered(value: JSON) -> Answered:
    """An answer by nobody in particular."""
    return Answered(value, None, NOW)


@pytest.mark.parametrize(
    ("kind", "arguments", "on"),
    [
        ("signal", {"name": "paid"}, {"kind": "signal", "name": "paid"}),
        ("event", {"type": "order.paid"}, {"kind": "event", "type": "order.paid", "match": {}}),
        (
            "event",
            {"type": "t", "match": {"subject": "x", "data.id": 3}},
            {"kind": "event", "type": "t", "match": {"subject": "x", "data.id": 3}},
        ),
    ],
)
async def test_signal_and_event_wait_and_give_what_came(
    tmp_path: Path, kind: str, arguments: dict[str, Any], on: dict[str, Any]
) -> None:
    """Without a limit for ever; with one they fail when it comes due."""
    assert await run(kind, make_call(tmp_path, arguments)) == Wait(None, on)
    limited = {**arguments, "timeout_s": 60}
    assert await run(kind, make_call(tmp_path, limited)) == Wait(60.0, on)
    values: list[JSON] = [{"amount": 3}, None, False, [1]]
    for value in values:
        assert await run(kind, make_call(tmp_path, limited, answer=answered(value))) == value
    with pytest.raises(WaitExpired, match="came within 60 s") as caught:
        await run(kind, make_call(tmp_path, limited, due_at=NOW))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("kind", "arguments", "where", "what"),
    [
        ("signal", {}, "", "signal needs `name`"),
        ("signal", {"name": ""}, "/name", "1 to 256 printable"),
        ("signal", {"name": ["a"]}, "/name", "1 to 256 printable"),
        ("signal", {"name": "a\x00b"}, "/name", "1 to 256 printable"),
        ("signal", {"name": "x" * 257}, "/name", "1 to 256 printable"),
        ("signal", {"name": "a", "timeout_s": "60"}, "/timeout_s", "a number of seconds"),
        ("signal", {"name": "a", "timeout_s": True}, "/timeout_s", "a number of seconds"),
        ("signal", {"name": "a", "timeout_s": float("nan")}, "/timeout_s", "a number of seconds"),
        ("signal", {"name": "a", "timeout_s": -1}, "/timeout_s", "from 0 to ten years"),
        ("event", {"match": {}}, "", "event needs `type`"),
        ("event", {"type": 3}, "/type", "1 to 256 printable"),
        ("event", {"type": "a", "match": []}, "/match", "an object of at most 32"),
        ("event", {"type": "a", "match": {f"k{i}": 1 for i in range(33)}}, "/match", "an object of at most 32"),
        ("event", {"type": "a", "match": {"Data.x": 1}}, "/match", "neither an attribute"),
        ("event", {"type": "a", "match": {"data..x": 1}}, "/match", "neither an attribute"),
        ("event", {"type": "a", "match": {"data." + "x." * 40 + "y": 1}}, "/match", "neither an attribute"),
        ("workflow", {"template": 3}, "/template", "1 to 256 printable"),
        ("workflow", {"template": "a", "version": ["1"]}, "/version", "1 to 256 printable"),
        ("workflow", {"template": "a", "inputs": [1]}, "/inputs", "an object was expected"),
        ("workflow", {"version": "1"}, "/version", "needs `template`"),
    ],
)
async def test_bad_arguments_are_found_before_and_at_the_call(
    tmp_path: Path, kind: str, arguments: dict[str, Any], where: str, what: str
) -> None:
    """Each at its place."""
    found = list(builtin_step_kinds()[kind].check(arguments, {}))
    assert any(path == where and what in message for path, message in found), found
    with pytest.raises(BadArguments, match=f"^/with{where}"):
        await run(kind, make_call(tmp_path, arguments))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("signal", {"name": "a", "timout_s": 1}, "unknown argument 'timout_s' (did you mean 'timeout_s'?)"),
        ("workflow", {"template": "a", "input": {}}, "unknown argument 'input' (did you mean 'inputs'?)"),
        ("event", {"type": "a", "filter": {}}, "unknown argument 'filter'"),
    ],
)
def test_unknown_arguments_are_found_before_the_start(kind: str, arguments: dict[str, Any], message: str) -> None:
    """With the name that may have been meant."""
    assert [said for _, said in builtin_step_kinds()[kind].check(arguments, {})] == [message]


def test_what_holds_an_expression_is_not_judged_yet() -> None:
    """Only the run knows what it is."""
    kinds = builtin_step_kinds()
    open_ = "${{ inputs.x }}"
    assert not list(kinds["signal"].check({"name": open_, "timeout_s": open_}, {}))
    assert not list(kinds["event"].check({"type": open_, "match": open_, "timeout_s": open_}, {}))
    assert not list(kinds["workflow"].check({"template": open_, "version": open_, "inputs": open_}, {}))


EVENT: dict[str, JSON] = {
    "type": "order.paid",
    "subject": "order/42",
    "data": {"id": 42, "lines": [{"sku": "a"}, {"sku": "b"}], "paid": True, "note": None},
}


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"subject": "order/42"}, True),
        ({"subject": "order/4"}, False),
        ({"data.id": 42}, True),
        ({"data.id": 42.0}, True),
        ({"data.id": "42"}, False),
        ({"data.paid": True}, True),
        ({"data.paid": 1}, False),
        ({"data.lines.1.sku": "b"}, True),
        ({"data.lines.2.sku": "b"}, False),
        ({"data.lines.-1.sku": "b"}, False),
        ({"data.lines.99999999999999999999.sku": "b"}, False),
        ({"data.lines.0": {"sku": "a"}}, True),
        ({"data.note": None}, True),
        ({"data.no": None}, False),
        ({"data.id.deeper": None}, False),
        ({"source": None}, False),
        ({"subject": "order/42", "data.id": 1}, False),
    ],
)
def test_an_event_fits_when_every_value_is_there(match: dict[str, JSON], fits: bool) -> None:
    """Attributes and paths below data, compared as JSON."""
    assert matches({"kind": "event", "type": "order.paid", "match": match}, EVENT) is fits
    assert not matches({"kind": "event", "type": "order", "match": match}, EVENT)


async def test_a_workflow_step_waits_for_its_child_and_gives_its_outputs(tmp_path: Path) -> None:
    """Its id is the same whenever the attempt is called again, and another for the next attempt and item."""
    arguments = {"template": "invoice", "version": "3", "inputs": {"n": 1}}
    wait = await run("workflow", make_call(tmp_path, arguments, workflow_id="w1", step_id="bill"))
    on: dict[str, JSON] = {
        "kind": "workflow",
        "workflow": "w1.bill.1",
        "inputs": {"n": 1},
        "template": "invoice",
        "version": "3",
    }
    assert wait == Wait(None, on)
    in_place = await run("workflow", make_call(tmp_path, {}, workflow_id="w1", step_id="s", item_index=4, attempt=2))
    assert in_place == Wait(None, {"kind": "workflow", "workflow": "w1.s.4.2", "inputs": {}})
    answer = answered({"status": "succeeded", "outputs": {"total": 9}, "error": None})
    assert await run("workflow", make_call(tmp_path, arguments, answer=answer)) == {"total": 9}


async def test_the_id_of_a_child_deep_down_is_still_an_id(tmp_path: Path) -> None:
    """What would be too long is hashed, and differs where the long one would."""
    ids = set()
    for attempt in (1, 2):
        wait = await run("workflow", make_call(tmp_path, {}, workflow_id="w" * 128, step_id="s" * 64, attempt=attempt))
        assert isinstance(wait, Wait)
        assert wait.on is not None
        id_ = wait.on["workflow"]
        assert isinstance(id_, str)
        assert len(id_) <= 128
        ids.add(id_)
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"status": "failed", "error": {"message": "no money"}},
            "the child workflow 'workflow.step.1' has failed: no money",
        ),
        ({"status": "cancelled", "error": None}, "the child workflow 'workflow.step.1' was cancelled"),
        (None, "the child workflow 'workflow.step.1' has failed"),
        ("succeeded", "the child workflow 'workflow.step.1' has failed"),
    ],
)
async def test_a_child_that_did_not_succeed_fails_the_attempt(tmp_path: Path, answer: JSON, message: str) -> None:
    """It may be tried again, as a new child."""
    with pytest.raises(ChildFailed) as caught:
        await run("workflow", make_call(tmp_path, {"template": "t"}, answer=answered(answer)))
    assert str(caught.value) == message
    assert caught.value.retryable
