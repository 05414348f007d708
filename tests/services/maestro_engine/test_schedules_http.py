"""Schedules over HTTP: made, read, changed, paused, run and deleted by those who know what is there."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from services.maestro_engine.process import EngineProcess
from services.maestro_engine.running import Engine, one_step

from kit.processes import Signal

SCHEDULES = "/api/schedules"
YEARLY = {"cron": "30 6 1 1 *", "time_zone": "Europe/Berlin"}
HOURLY: dict[str, Any] = {"every_s": 3600, "anchor_at": "2026-01-01T00:00:00Z"}


async def made(engine: Engine, name: str = "it", **settings: Any) -> httpx2.Response:
    """The answer to making a schedule."""
    order = {"name": name, **({} if "template" in settings else {"definition": one_step()}), **(settings or YEARLY)}
    answer = await engine.http.post(SCHEDULES, json=order)
    assert answer.status_code == 201, answer.text
    return answer


async def test_a_schedule_is_made_read_and_listed(engine: Engine) -> None:
    """201 says where it is; what is read can be sent back as it is; the list says when it starts next."""
    answer = await made(engine, inputs={}, labels={"team": "a"}, **YEARLY)
    body = answer.json()
    assert answer.headers["location"] == f"{SCHEDULES}/it"
    read = await engine.http.get(f"{SCHEDULES}/it")
    assert (read.json(), read.headers["etag"]) == (body, answer.headers["etag"])
    assert body["settings"] == {
        **YEARLY,
        "anchor_at": None,
        "definition": one_step(),
        "inputs": {},
        "labels": {"team": "a"},
        "priority": None,
        "overlap": "skip",
        "max_queued": 10,
        "catch_up": "last",
        "catch_up_window_s": 86_400,
        "jitter_s": 0,
        "paused": False,
        "start_at": None,
        "end_at": None,
        "max_runs": None,
    }
    assert datetime.fromisoformat(body["next_at"]).strftime("%m-%d %H:%M %z") == "01-01 05:30 +0000"
    again = await engine.http.put(f"{SCHEDULES}/it", json=body["settings"], headers={"If-Match": read.headers["etag"]})
    assert (again.status_code, again.json()["settings"]) == (200, body["settings"])
    (summary,) = (await engine.http.get(SCHEDULES)).json()["items"]
    assert (summary["name"], summary["timing"], summary["template"], summary["starts"]) == (
        "it",
        "30 6 1 1 * Europe/Berlin",
        None,
        0,
    )


async def test_a_change_needs_to_know_what_is_there(engine: Engine) -> None:
    """Without If-Match 428, with an old one 412; so is a deletion. Starts do not change the ETag, a pause does."""
    etag = (await made(engine)).headers["etag"]
    order = {"definition": one_step(), "every_s": 60}
    assert (await engine.http.put(f"{SCHEDULES}/it", json=order)).status_code == 428
    assert (await engine.http.delete(f"{SCHEDULES}/it")).status_code == 428
    await engine.http.post(f"{SCHEDULES}/it/run")
    changed = await engine.http.put(f"{SCHEDULES}/it", json=order, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["settings"]["every_s"]) == (200, 60)
    assert "cron" not in changed.json()["settings"]
    assert (await engine.http.put(f"{SCHEDULES}/it", json=order, headers={"If-Match": etag})).status_code == 412
    etag = changed.headers["etag"]
    paused = await engine.http.post(f"{SCHEDULES}/it/pause")
    assert (paused.json()["settings"]["paused"], paused.json()["next_at"]) == (True, None)
    assert (await engine.http.delete(f"{SCHEDULES}/it", headers={"If-Match": etag})).status_code == 412
    resumed = await engine.http.post(f"{SCHEDULES}/it/resume")
    assert resumed.json()["next_at"] is not None
    headers = {"If-Match": resumed.headers["etag"]}
    assert (await engine.http.delete(f"{SCHEDULES}/it", headers=headers)).status_code == 204
    assert (await engine.http.delete(f"{SCHEDULES}/it", headers=headers)).status_code == 412
    assert (await engine.http.get(f"{SCHEDULES}/it")).status_code == 404


async def test_of_many_changes_at_once_one_is_made(engine: Engine) -> None:
    """Those who have read the same are told that somebody was faster."""
    etag = (await made(engine)).headers["etag"]
    orders = [
        engine.http.put(
            f"{SCHEDULES}/it", json={"definition": one_step(), "every_s": 60 + number}, headers={"If-Match": etag}
        )
        for number in range(8)
    ]
    assert sorted(each.status_code for each in await asyncio.gather(*orders)) == [200, *[412] * 7]


async def test_it_looks_ahead_and_tells_what_was_started(engine: Engine) -> None:
    """The next times with jitter; a run now is in the history with its workflow; pages go backwards."""
    await made(engine, jitter_s=600, **HOURLY)
    upcoming = (await engine.http.get(f"{SCHEDULES}/it/upcoming", params={"limit": 3})).json()["items"]
    times = [datetime.fromisoformat(each["nominal_at"]) for each in upcoming]
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(hours=1)] * 2
    assert all(at.minute == 0 for at in times)
    delays = [datetime.fromisoformat(each["due_at"]) - at for each, at in zip(upcoming, times, strict=True)]
    assert all(timedelta(0) <= delay < timedelta(minutes=10) for delay in delays)
    runs = [(await engine.http.post(f"{SCHEDULES}/it/run")).json() for _ in range(3)]
    assert [run["kind"] for run in runs] == ["manual"] * 3
    assert (await engine.backend.wait(runs[0]["workflow_id"], 10)).status == "succeeded"
    page = (await engine.http.get(f"{SCHEDULES}/it/runs", params={"limit": 2})).json()
    rest = (await engine.http.get(f"{SCHEDULES}/it/runs", params={"limit": 2, "before": page["next"]})).json()
    assert [each["workflow_id"] for each in [*page["items"], *rest["items"]]] == [
        run["workflow_id"] for run in reversed(runs)
    ]
    assert rest["next"] is None
    assert (await engine.http.get(f"{SCHEDULES}/it/runs", params={"state": "failed"})).json()["items"] == []


async def test_a_backfill_is_made_told_and_cancelled(engine: Engine) -> None:
    """202 with how many; progress by state; a cancel skips the rest."""
    await made(engine, definition=one_step("gate"), **HOURLY)
    order = {"from_at": "2026-02-01T00:00:00Z", "to_at": "2026-02-01T04:00:00+00:00"}
    answer = await engine.http.post(f"{SCHEDULES}/it/backfill", json=order)
    assert (answer.status_code, answer.json()["total"], answer.json()["created_by"]) == (202, 5, "local")
    await engine.gate.arrival()
    backfill = answer.json()["id"]
    assert (await engine.http.delete(f"{SCHEDULES}/it/backfills/{backfill}")).status_code == 204
    (told,) = (await engine.http.get(f"{SCHEDULES}/it/backfills")).json()["items"]
    assert [told[state] for state in ("total", "pending", "started", "running", "skipped")] == [5, 0, 1, 1, 4]
    assert (await engine.http.delete(f"{SCHEDULES}/it/backfills/nope")).status_code == 404
    refused = await engine.http.post(f"{SCHEDULES}/it/backfill", json={**order, "max_runs": 4})
    assert (refused.status_code, refused.json()["code"]) == (422, "schedule.backfill-refused")


@pytest.mark.parametrize(
    ("settings", "pointer", "text"),
    [
        ({}, "", "give one of cron, every_s and at"),
        ({"every_s": 60, "cron": "* * * * *"}, "", "give one of cron, every_s and at"),
        ({"every_s": 60, "template": "t"}, "", "give either template or definition"),
        ({"every_s": 0}, "/every_s", "greater than or equal to 1"),
        ({"every_s": 1.5}, "/every_s", "integer"),
        ({"every_s": "60"}, "/every_s", "integer"),
        ({"every_s": True}, "/every_s", "integer"),
        ({"every_s": 10**30}, "/every_s", ""),
        ({"every_s": 60, "time_zone": "Europe/Berlin"}, "", "time_zone belongs to cron"),
        ({"cron": "61 * * * *"}, "/cron", "minute: '61' (character 1) will not do; it is 0 to 59"),
        ({"cron": "* * * * *" * 100}, "/cron", "200"),
        ({"cron": "0 0 30 2 *"}, "/cron", "no month has such a day"),
        ({"cron": None}, "/cron", "string"),
        ({"cron": "* * * * *", "time_zone": "../../etc/passwd"}, "/time_zone", "there is no time zone"),
        ({"cron": "* * * * *", "anchor_at": "2026-01-01T00:00:00Z"}, "", "anchor_at belongs to every_s"),
        ({"at": "2026-01-01"}, "/at", ""),
        ({"at": 1767225600}, "/at", "RFC 3339"),
        ({"at": "1767225600"}, "/at", "RFC 3339"),
        ({"at": "2026-01-01T00:00:00"}, "/at", "timezone"),
        ({"at": "9999-12-31T23:59:59-23:00"}, "/at", "1970 to 2899"),
        ({"at": "0001-01-01T00:00:00+23:00"}, "/at", "1970 to 2899"),
        ({"at": "2026-01-01T00:00:00.5Z"}, "/at", "whole seconds"),
        ({"every_s": 60, "end_at": "2026-01-01T00:00:00Z", "start_at": "2026-01-02T00:00:00Z"}, "", "end_at is before"),
        ({"every_s": 60, "overlap": "maybe"}, "/overlap", ""),
        ({"every_s": 60, "catch_up": "some"}, "/catch_up", ""),
        ({"every_s": 60, "catch_up_window_s": -1}, "/catch_up_window_s", ""),
        ({"every_s": 60, "jitter_s": 86_401}, "/jitter_s", ""),
        ({"every_s": 60, "max_queued": 1001}, "/max_queued", ""),
        ({"every_s": 60, "max_runs": 0}, "/max_runs", ""),
        ({"every_s": 60, "priority": 101}, "/priority", ""),
        ({"every_s": 60, "paused": "yes"}, "/paused", ""),
        ({"every_s": 60, "labels": {"": "x"}}, "/labels", ""),
        ({"every_s": 60, "surprise": 1}, "/surprise", ""),
        ({"every_s": 60, "name": "../x"}, "/name", ""),
        ({"every_s": 60, "name": "x" * 65}, "/name", ""),
    ],
)
async def test_settings_that_will_not_do_are_refused_in_their_place(
    engine: Engine, settings: dict[str, Any], pointer: str, text: str
) -> None:
    """422 points at the field and says what was expected; nothing is kept."""
    answer = await engine.http.post(SCHEDULES, json={"name": "it", "definition": one_step(), **settings})
    assert answer.status_code == 422, answer.text
    found = [each for each in answer.json()["errors"] if each["pointer"].startswith(pointer)]
    assert any(text in each["message"] for each in found), answer.json()["errors"]
    assert (await engine.http.get(SCHEDULES)).json()["items"] == []


async def test_what_cannot_start_is_refused_as_a_start_is(engine: Engine) -> None:
    """The problems of definitions, inputs and templates are the same here."""
    orders: list[tuple[dict[str, Any], int, str]] = [
        ({"definition": one_step("nope")}, 422, "workflow.invalid-definition"),
        ({"definition": "a: [1"}, 422, "yaml.bad-syntax"),
        ({"definition": one_step(), "inputs": {"n": 1}}, 422, "workflow.invalid-inputs"),
        ({"template": "nope"}, 404, "template.unknown"),
    ]
    for order, status, code in orders:
        answer = await engine.http.post(SCHEDULES, json={"name": "it", "every_s": 60, **order})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    await made(engine)
    taken = await engine.http.post(SCHEDULES, json={"name": "it", "every_s": 60, "definition": one_step()})
    assert (taken.status_code, taken.json()["code"]) == (409, "schedule.exists")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/upcoming"),
        ("GET", "/runs"),
        ("GET", "/backfills"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/run"),
    ],
)
async def test_a_name_that_nobody_knows_is_a_404(engine: Engine, method: str, path: str) -> None:
    """Every route says so with the same code; a name that no schedule can have is a 422."""
    answer = await engine.http.request(method, f"{SCHEDULES}/nope{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "schedule.unknown")
    assert (await engine.http.request(method, f"{SCHEDULES}/no.pe{path}")).status_code == 422


async def test_each_change_is_accounted_for(engine: Engine) -> None:
    """Who made, changed, ran, paused and deleted what; what was started by the calendar is told by the engine."""
    etag = (await made(engine)).headers["etag"]
    run = (await engine.http.post(f"{SCHEDULES}/it/run")).json()
    order = {"definition": one_step(), **HOURLY}
    await engine.http.put(f"{SCHEDULES}/it", json=order, headers={"If-Match": etag})
    span = {"from_at": "2026-02-01T00:00:00Z", "to_at": "2026-02-01T00:00:00Z"}
    backfill = (await engine.http.post(f"{SCHEDULES}/it/backfill", json=span)).json()["id"]
    await engine.http.delete(f"{SCHEDULES}/it/backfills/{backfill}")
    await engine.http.post(f"{SCHEDULES}/it/pause")
    resumed = await engine.http.post(f"{SCHEDULES}/it/resume")
    await engine.http.delete(f"{SCHEDULES}/it", headers={"If-Match": resumed.headers["etag"]})
    entries = (await engine.entries(object="it"))[::-1]
    assert [each["action"] for each in entries] == [
        "schedule.add",
        "schedule.run",
        "schedule.change",
        "schedule.backfill",
        "schedule.cancel_backfill",
        "schedule.pause",
        "schedule.resume",
        "schedule.delete",
    ]
    assert entries[1]["details"]["workflow"] == run["workflow_id"]
    assert {each["actor"] for each in entries} == {"local"}


def test_a_schedule_outlives_a_kill_and_goes_on(tmp_path: Path, started: list[EngineProcess], waiting: Signal) -> None:
    """Each second a start, a kill -9 in between: each nominal time once, none left out."""
    command = f"echo > {tmp_path / 'waiting'}"
    definition = {"name": "tick", "steps": {"a": {"kind": "shell", "with": {"command": command}}}}
    order = {"name": "tick", "every_s": 1, "catch_up": "all", "overlap": "allow", "definition": definition}
    killed_at = datetime.now(UTC)
    times: list[datetime] = []
    for is_last in (False, True):
        started.append(EngineProcess(tmp_path / "data", "--port", "0"))
        if not is_last:
            started[0].ask(SCHEDULES, order)
        while not times or times[-1] < killed_at + timedelta(seconds=1):
            waiting.wait()
            runs = started[-1].ask(f"{SCHEDULES}/tick/runs?limit=200&state=started")["items"][::-1]
            times = [datetime.fromisoformat(run["nominal_at"]) for run in runs]
        killed_at = datetime.now(UTC)
        started[-1].kill()
    assert times == [times[0] + timedelta(seconds=number) for number in range(len(times))]
    assert len({run["workflow_id"] for run in runs}) == len(runs)
