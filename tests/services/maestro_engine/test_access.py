"""Users and keys over HTTP: who is added, what follows a change at once, and that a secret is told once."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from services.maestro_engine.running import Engine, StartEngine, bearer, one_step

from maestro_engine.access.service import LOCAL, RESERVED
from maestro_engine.audit.service import ANONYMOUS, ENGINE, KEEPER

USERS, KEYS, ME = "/api/access/users", "/api/access/keys", "/api/access/me"


@pytest.fixture
async def guarded(start_engine: StartEngine) -> AsyncIterator[Engine]:
    """An engine to which everybody signs in; `http` is the admin's."""
    async with start_engine(auth="on") as engine:
        yield engine


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    return body


async def test_a_user_that_is_added_can_call_at_once(guarded: Engine) -> None:
    """The answer has the first key, which says who its owner is and what he may; it is not to be kept by anybody."""
    answer = await guarded.http.post(USERS, json={"subject": "ana@example.com", "role": "operator"})
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert body["user"] == {**body["user"], "subject": "ana@example.com", "roles": ["operator"], "disabled": False}
    me = (await guarded.http.get(ME, headers=bearer(body["issued"]["secret"]))).json()
    assert me == {
        "subject": "ana@example.com",
        "kind": "key",
        "roles": ["operator"],
        "permissions": [
            "approval:answer",
            "metrics:read",
            "schedule:manage",
            "schedule:read",
            "secret:read",
            "template:manage",
            "template:read",
            "workflow:cancel",
            "workflow:control",
            "workflow:read",
            "workflow:signal",
            "workflow:start",
        ],
        "key_id": body["issued"]["key"]["id"],
    }
    listed = (await guarded.http.get(USERS)).json()["items"]
    assert [each["subject"] for each in listed] == ["admin", "ana@example.com"]


async def test_a_change_of_role_holds_at_once_for_keys_that_are_open(guarded: Engine) -> None:
    """Up and down again, with one and the same key."""
    key = bearer(await guarded.add_user("ana", "viewer"))
    for role, status in (("viewer", 403), ("operator", 201), ("admin", 201), ("viewer", 403)):
        changed = await guarded.http.put(f"{USERS}/ana", json={"role": role})
        assert (changed.status_code, changed.json()["roles"]) == (200, [role])
        answer = await guarded.http.post("/api/workflows", json={"definition": one_step()}, headers=key)
        assert answer.status_code == status, role
        assert (await guarded.http.get("/api/workflows", headers=key)).status_code == 200


async def test_who_is_shut_out_is_out_with_every_key_and_may_come_back(guarded: Engine) -> None:
    """401 for keys that exist, at once; let in again, they work again."""
    key = bearer(await guarded.add_user("ana", "viewer"))
    assert (await guarded.http.get(ME, headers=key)).status_code == 200
    await guarded.http.put(f"{USERS}/ana", json={"role": "viewer", "disabled": True})
    refused(await guarded.http.get(ME, headers=key), 401, "auth.invalid-credentials")
    await guarded.http.put(f"{USERS}/ana", json={"role": "viewer"})
    assert (await guarded.http.get(ME, headers=key)).status_code == 200


async def test_what_is_open_ends_when_its_reader_is_shut_out(start_engine: StartEngine) -> None:
    """Within a heartbeat a socket is closed with 4401, and a stream ends."""
    async with start_engine(auth="on", heartbeat_s=0.05) as engine:
        key = bearer(await engine.add_user("ana", "viewer"))
        workflow_id = await engine.start(one_step("gate"))
        events = {**key, "Accept": "text/event-stream"}
        async with (
            asyncio.timeout(20),
            engine.socket(additional_headers=key) as socket,
            engine.http.stream("GET", f"/api/workflows/{workflow_id}/events", headers=events) as stream,
        ):
            assert stream.status_code == 200
            await engine.http.put(f"{USERS}/ana", json={"role": "viewer", "disabled": True})
            await socket.wait_closed()
            assert (socket.close_code, socket.close_reason) == (4401, "auth.invalid-credentials")
            assert [line async for line in stream.aiter_lines() if line.startswith("data: ")]
        await engine.hub.vacant()


async def test_a_key_that_is_revoked_is_worth_nothing_at_once(guarded: Engine) -> None:
    """Its owner revokes it with another one; revoking it again is 404, as for one that never was."""
    first = bearer(await guarded.add_user("ana", "viewer"))
    second = (await guarded.http.post(KEYS, json={"label": "laptop", "lifetime_days": 1}, headers=first)).json()
    key_id = (await guarded.http.get(ME, headers=first)).json()["key_id"]
    shown = bearer(second["secret"])
    assert (await guarded.http.delete(f"{KEYS}/{key_id}", headers=shown)).status_code == 204
    refused(await guarded.http.get(ME, headers=first), 401, "auth.invalid-credentials")
    refused(await guarded.http.delete(f"{KEYS}/{key_id}", headers=shown), 404, "auth.unknown-key")
    listed = (await guarded.http.get(KEYS, headers=shown)).json()["items"]
    assert [(each["label"], each["revoked_at"] is None) for each in listed] == [("first key", False), ("laptop", True)]


async def test_a_key_of_somebody_else_is_not_there(guarded: Engine) -> None:
    """Nobody sees or ends the keys of others by their id, an admin no more than a viewer; 404 says nothing of them."""
    ana, ben = bearer(await guarded.add_user("ana", "viewer")), bearer(await guarded.add_user("ben", "admin"))
    key_id = (await guarded.http.get(ME, headers=ana)).json()["key_id"]
    theirs = await guarded.http.delete(f"{KEYS}/{key_id}", headers=ben)
    none = await guarded.http.delete(f"{KEYS}/AAAAAAAAAAAAAAAA", headers=ben)
    for answer in (theirs, none):
        refused(answer, 404, "auth.unknown-key")
    assert key_id not in (await guarded.http.get(KEYS, headers=ben)).text
    assert (await guarded.http.get(ME, headers=ana)).status_code == 200


async def test_who_has_lost_the_last_key_gets_one_from_an_admin(guarded: Engine) -> None:
    """Without being added again; an unknown user is a 404, and nobody but an admin may do it."""
    ana = bearer(await guarded.add_user("ana", "viewer"))
    new = await guarded.http.post(f"{USERS}/ana/keys", json={"label": "again"})
    assert (new.status_code, new.headers["cache-control"], new.json()["key"]["subject"]) == (201, "no-store", "ana")
    assert (await guarded.http.get(ME, headers=bearer(new.json()["secret"]))).json()["roles"] == ["viewer"]
    refused(await guarded.http.post(f"{USERS}/nobody/keys", json={}), 404, "auth.unknown-user")
    refused(await guarded.http.post(f"{USERS}/ana/keys", json={}, headers=ana), 403, "auth.forbidden")


async def test_the_last_admin_stays(guarded: Engine) -> None:
    """Neither the role nor the door is taken from who alone can let others in; with a second admin it is."""
    for change in ({"role": "viewer"}, {"role": "admin", "disabled": True}):
        refused(await guarded.http.put(f"{USERS}/admin", json=change), 409, "access.last-admin")
    second = bearer(await guarded.add_user("second", "admin"))
    assert (await guarded.http.put(f"{USERS}/admin", json={"role": "viewer"})).status_code == 200
    refused(
        await guarded.http.put(f"{USERS}/second", json={"role": "viewer"}, headers=second), 409, "access.last-admin"
    )
    refused(
        await guarded.http.put(f"{USERS}/nobody", json={"role": "viewer"}, headers=second), 404, "auth.unknown-user"
    )


async def test_two_admins_who_shut_each_other_out_at_once_leave_one(guarded: Engine) -> None:
    """One of them is told to make another admin first."""
    second = bearer(await guarded.add_user("second", "admin"))
    both = await asyncio.gather(
        guarded.http.put(f"{USERS}/second", json={"role": "admin", "disabled": True}),
        guarded.http.put(f"{USERS}/admin", json={"role": "admin", "disabled": True}, headers=second),
    )
    assert sorted(answer.status_code for answer in both)[0] == 200
    assert sorted(answer.status_code for answer in both)[1] in (401, 409)


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Engine"])
async def test_nobody_is_called_as_the_audit_log_calls_somebody_else(guarded: Engine, name: str) -> None:
    """422 for the names of the engine, of the anonymous, of everybody on loopback, and of the log itself."""
    refused(await guarded.http.post(USERS, json={"subject": name, "role": "viewer"}), 422, "access.reserved-name")


def test_every_actor_that_is_no_user_is_reserved() -> None:
    """What the audit log uses is what nobody can be called."""
    assert {ANONYMOUS, ENGINE, KEEPER, LOCAL.subject, "maestro-audit"} == RESERVED


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"subject": "a"},
        {"subject": "", "role": "viewer"},
        {"subject": "a b", "role": "viewer"},
        {"subject": "a\n", "role": "viewer"},
        {"subject": "../a", "role": "viewer"},
        {"subject": "a" * 101, "role": "viewer"},
        {"subject": "\u202ea", "role": "viewer"},
        {"subject": "a", "role": "root"},
        {"subject": "a", "role": ["admin"]},
        {"subject": "a", "role": "viewer", "lifetime_days": 0},
        {"subject": "a", "role": "viewer", "lifetime_days": 367},
        {"subject": "a", "role": "viewer", "password": "x"},
    ],
)
async def test_a_wrong_order_makes_nobody(guarded: Engine, order: dict[str, Any]) -> None:
    """422, and the list of users is as before."""
    refused(await guarded.http.post(USERS, json=order), 422, "request.invalid")
    assert [each["subject"] for each in (await guarded.http.get(USERS)).json()["items"]] == ["admin"]


async def test_a_name_is_taken_once(guarded: Engine) -> None:
    """409; whoever has it keeps role and key."""
    ana = bearer(await guarded.add_user("ana", "viewer"))
    refused(await guarded.http.post(USERS, json={"subject": "ana", "role": "admin"}), 409, "auth.user-exists")
    assert (await guarded.http.get(ME, headers=ana)).json()["roles"] == ["viewer"]


async def test_a_secret_is_told_once_and_nowhere_else(guarded: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """In the answer that makes it; in no listing, log line, audit entry, metric or error, and in no file but hashed."""
    caplog.set_level(logging.DEBUG)
    issued = (await guarded.http.post(KEYS, json={"label": "x"})).json()
    secrets = [issued["secret"], await guarded.add_user("ana", "viewer")]
    wrong = secrets[0][:-1] + ("a" if secrets[0][-1] != "a" else "b")
    answers = [await guarded.http.get(path) for path in (KEYS, USERS, ME, "/api/audit", "/metrics")]
    answers.append(await guarded.http.get(ME, headers=bearer(wrong)))
    await guarded.http.delete(f"{KEYS}/{issued['key']['id']}", headers=bearer(issued["secret"]))
    answers += [await guarded.http.get(ME, headers=bearer(issued["secret"])), await guarded.http.get("/api/audit")]
    folder = guarded.app.settings.data_dir  # type: ignore[attr-defined]  # the engine's settings, seen as any service's
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    told = "".join([*(answer.text + str(answer.headers) for answer in answers), caplog.text])
    for secret in (*secrets, wrong):
        hidden = secret.partition("_")[2].partition("_")[2] or secret
        assert hidden not in told
        assert hidden.encode() not in kept
    assert json.loads(answers[-1].text)["items"]


async def test_without_sign_in_there_are_no_users(engine: Engine) -> None:
    """On loopback everybody is the local admin; users and keys are a 409 that names the setting."""
    me = (await engine.http.get(ME, headers={"Authorization": "Bearer whatever"})).json()
    assert (me["subject"], me["kind"], me["roles"], me["key_id"]) == ("local", "local", ["admin"], None)
    for method, path, body in (
        ("GET", KEYS, None),
        ("POST", KEYS, {}),
        ("DELETE", f"{KEYS}/abc", None),
        ("GET", USERS, None),
        ("POST", USERS, {"subject": "ana", "role": "viewer"}),
        ("PUT", f"{USERS}/ana", {"role": "viewer"}),
        ("POST", f"{USERS}/ana/keys", {}),
    ):
        answer = await engine.http.request(method, path, json=body)
        assert "auth" in refused(answer, 409, "access.off")["detail"]


async def test_a_401_says_how_to_sign_in(guarded: Engine) -> None:
    """RFC 9110 and RFC 6750: the challenge, without an error where nothing was shown."""
    nothing = await guarded.http.get(ME, headers={"Authorization": ""})
    wrong = await guarded.http.get(ME, headers=bearer("mst_wrong"))
    viewer = bearer(await guarded.add_user("ana", "viewer"))
    forbidden = await guarded.http.get(USERS, headers=viewer)
    async with httpx2.AsyncClient(base_url=guarded.url) as stranger:
        bare = await stranger.get(ME)
    assert refused(bare, 401, "auth.missing-credentials")["detail"]
    assert bare.headers["www-authenticate"] == 'Bearer realm="maestro"'
    for answer in (nothing, wrong):
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert 'error="insufficient_scope", scope="access:manage"' in forbidden.headers["www-authenticate"]
