"""Secrets over HTTP: who may set and list them, and that no answer, entry or log ever holds a value."""

import base64
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from services.maestro_engine.running import bearer, first_key
from starlette.middleware import Middleware

from maestro_core_api import create_api
from maestro_core_auth import ApiKeys, AuthMiddleware, SqliteAuthStore, Users
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.service import Access
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audit import audit_routes
from maestro_engine.http.problems import PROBLEMS
from maestro_engine.http.secrets import secret_routes
from maestro_engine.secrets.keys import find_keys
from maestro_engine.secrets.service import Secrets
from maestro_engine.secrets.store import SecretStore
from maestro_engine.settings import EngineSettings

SECRETS = "/api/secrets"
VALUE = "correct horse/battery+staple"


@dataclass
class Door:
    """The routes of secrets, with sign-in, before an admin."""

    http: httpx2.AsyncClient
    secrets: Secrets
    keys: dict[str, dict[str, str]]

    async def set(self, name: str, value: str = VALUE, headers: Any = None, **more: Any) -> httpx2.Response:
        return await self.http.put(f"{SECRETS}/{name}", json={"value": value, **more}, headers=headers)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """The routes over real stores."""
    settings = EngineSettings(data_dir=tmp_path, auth="on", host="127.0.0.1")
    keys = {"admin": bearer(await first_key(settings))}
    audit = AuditTrail(tmp_path / "audit", is_durable=False)
    audit.open()
    ring = find_keys(text=None, file=None, own_file=tmp_path.with_name("engine.key"), may_make=True)
    try:
        async with SqliteAuthStore(settings.users_file) as users, SecretStore(tmp_path / "secrets.db") as store:
            secrets = Secrets(store, ring)
            for role in ("viewer", "operator"):
                await Users(users).add(role, {role})
                keys[role] = bearer((await ApiKeys(users).issue(role)).secret)
            access = Access(users)
            auth = FastAPIAuth(access.authenticator)
            app = create_api(
                settings,
                title="Secrets",
                version="1.0.0",
                routers=[secret_routes(secrets, auth, audit), audit_routes(audit, auth)],
                problems=PROBLEMS,
                middleware=[Middleware(AuthMiddleware, authenticator=access.authenticator)],
            )
            transport = httpx2.ASGITransport(app, client=("127.0.0.1", 4711))
            async with httpx2.AsyncClient(
                transport=transport, base_url="http://localhost:8000", headers=keys["admin"]
            ) as http:
                yield Door(http, secrets, keys)
    finally:
        await audit.close()


def refused(answer: httpx2.Response, status: int, code: str) -> str:
    """The text of a refusal."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.text


async def test_a_secret_is_set_listed_changed_and_deleted(door: Door) -> None:
    """Everything but its value can be read; steps get what was set last."""
    made = await door.set("TOKEN", description="for the mirror", expires_at="2126-01-01T00:00:00+02:00")
    body = made.json()
    assert made.status_code == 201
    assert (body["name"], body["version"], body["description"]) == ("TOKEN", 1, "for the mirror")
    assert (body["expires_at"], body["last_used_at"], body["is_readable"]) == ("2125-12-31T22:00:00Z", None, True)
    assert await door.secrets.get("TOKEN") == VALUE
    changed = await door.set("TOKEN", "another value")
    assert (changed.status_code, changed.json()["version"], changed.json()["expires_at"]) == (200, 2, None)
    assert await door.secrets.get("TOKEN") == "another value"
    listed = (await door.http.get(SECRETS)).json()
    one = await door.http.get(f"{SECRETS}/TOKEN")
    assert listed == {"items": [one.json()], "key_id": body["key_id"]}
    assert one.headers["etag"] == changed.headers["etag"] != made.headers["etag"]
    assert one.json()["last_used_at"] is not None
    assert (await door.http.delete(f"{SECRETS}/TOKEN")).status_code == 204
    refused(await door.http.delete(f"{SECRETS}/TOKEN"), 404, "secret.unknown")
    refused(await door.http.get(f"{SECRETS}/TOKEN"), 404, "secret.unknown")


async def test_a_condition_guards_against_overwriting_unseen(door: Door) -> None:
    """If-Match for what was read, If-None-Match: * for what is to be new."""
    old = (await door.set("TOKEN", headers={"If-None-Match": "*"})).headers["etag"]
    refused(await door.set("TOKEN", "x", headers={"If-None-Match": "*"}), 412, "request.precondition-failed")
    new = (await door.set("TOKEN", "seen", headers={"If-Match": old})).headers["etag"]
    refused(await door.set("TOKEN", "x", headers={"If-Match": old}), 412, "request.precondition-failed")
    refused(await door.set("OTHER", "x", headers={"If-Match": "*"}), 412, "request.precondition-failed")
    stale = await door.http.delete(f"{SECRETS}/TOKEN", headers={"If-Match": old})
    refused(stale, 412, "request.precondition-failed")
    assert await door.secrets.get("TOKEN") == "seen"
    assert (await door.http.get(f"{SECRETS}/TOKEN", headers={"If-None-Match": new})).status_code == 304
    assert (await door.http.delete(f"{SECRETS}/TOKEN", headers={"If-Match": new})).status_code == 204


async def test_the_key_can_be_changed(door: Door) -> None:
    """Everything is sealed anew, and goes on being given out."""
    before = (await door.set("TOKEN")).json()["key_id"]
    rotated = (await door.http.post(f"{SECRETS}/keys/rotate")).json()
    assert rotated == {"key_id": rotated["key_id"], "is_new": True, "resealed": 1, "unreadable": []}
    assert rotated["key_id"] != before
    assert (await door.http.get(f"{SECRETS}/TOKEN")).json()["key_id"] == rotated["key_id"]
    assert await door.secrets.get("TOKEN") == VALUE


async def test_without_a_key_the_answer_says_what_to_do(door: Door) -> None:
    """Listing goes on."""
    await door.set("TOKEN")
    door.secrets._keys = door.secrets._sealing = None
    told = refused(await door.set("TOKEN"), 409, "secret.no-key")
    assert "MAESTRO_ENGINE_SECRET_KEY_FILE" in told
    refused(await door.http.post(f"{SECRETS}/keys/rotate"), 409, "secret.no-key")
    (item,) = (await door.http.get(SECRETS)).json()["items"]
    assert (item["name"], item["is_readable"]) == ("TOKEN", False)


@pytest.mark.parametrize(
    ("method", "path", "viewer", "operator"),
    [
        ("GET", SECRETS, 403, 200),
        ("GET", f"{SECRETS}/TOKEN", 403, 200),
        ("PUT", f"{SECRETS}/TOKEN", 403, 403),
        ("DELETE", f"{SECRETS}/TOKEN", 403, 403),
        ("POST", f"{SECRETS}/keys/rotate", 403, 403),
    ],
)
async def test_who_may_what(door: Door, method: str, path: str, viewer: int, operator: int) -> None:
    """Nobody who may not learns whether a secret is there: the refusal comes first."""
    await door.set("TOKEN")
    for name in ("TOKEN", "NOT_THERE"):
        where = path.replace("TOKEN", name)
        body = {"value": "x"} if method == "PUT" else None
        for headers, status in (
            ({"Authorization": ""}, 401),
            (door.keys["viewer"], viewer),
            (door.keys["operator"], operator if name == "TOKEN" or operator == 403 or path == SECRETS else 404),
        ):
            answer = await door.http.request(method, where, json=body, headers={**headers, "If-Match": "*"})
            assert answer.status_code == (412 if status == 404 else status), (headers, where)
    assert await door.secrets.get("TOKEN") == VALUE


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"value": ""},
        {"value": None},
        {"value": 5},
        {"value": ["x" * 12]},
        {"value": VALUE * 3000},
        {"value": VALUE, "name": "x"},
        {"value": VALUE, "description": "x" * 501},
        {"value": VALUE, "description": 5},
        {"value": VALUE, "expires_at": 1_900_000_000},
        {"value": VALUE, "expires_at": "1900000000"},
        {"value": VALUE, "expires_at": "tomorrow"},
        {"value": VALUE, "expires_at": "2030-01-01"},
        {"value": VALUE, "expires_at": "2030-01-01T00:00:00"},
        {"value": VALUE, "expires_at": "2030-13-01T00:00:00Z"},
        {"value": VALUE, "expires_at": "0001-01-01T00:00:00+23:59"},
        {"value": VALUE, "expires_at": "9999-12-31T23:59:59-23:59"},
        {"value": VALUE, "expires_at": "2030-01-01T00:00:00" + "0" * 5000 + "Z"},
    ],
)
async def test_a_wrong_order_is_refused_without_being_repeated(door: Door, order: dict[str, Any]) -> None:
    """422 names the place; what was sent as value is not in the answer, and nothing was set."""
    answer = await door.http.put(f"{SECRETS}/TOKEN", json=order)
    told = refused(answer, 422, "request.invalid")
    assert VALUE[:12] not in told
    assert "xxxx" not in told
    assert (await door.http.get(SECRETS)).json()["items"] == []


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"value": "\\ud800"}', b'{"value": NaN}', b"[]", b'"hidden"', b""])
async def test_a_body_that_is_none_is_refused(door: Door, body: bytes) -> None:
    """Whatever comes, the answer is a problem and repeats nothing."""
    answer = await door.http.put(f"{SECRETS}/TOKEN", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert "hidden" not in answer.text


@pytest.mark.parametrize("name", ["a-b", "1A", "A" * 65, "A%20B", "%C3%BC", "A%0A", "A.B", "A%00", "..%2Fx", "%2e%2e"])
async def test_a_name_that_no_expression_could_hold_is_refused(door: Door, name: str) -> None:
    """It is never a path, and never a line of a log."""
    for method in ("GET", "PUT", "DELETE"):
        answer = await door.http.request(
            method, f"{SECRETS}/{name}", json={"value": VALUE} if method == "PUT" else None
        )
        assert answer.status_code in (400, 404, 405, 422), name
        assert VALUE not in answer.text
    assert (await door.http.get(SECRETS)).json()["items"] == []


async def test_no_answer_entry_or_log_holds_a_value(
    door: Door, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After everything that can be done with one; the audit log says who did it, and which version."""
    with caplog.at_level(logging.DEBUG):
        answers = [
            await door.set("TOKEN", description="one"),
            await door.set("TOKEN", VALUE + "2"),
            await door.set("TOKEN", VALUE, headers={"If-Match": '"stale"'}),
            await door.set("TOKEN", VALUE, headers=door.keys["operator"]),
            await door.set("TOKEN", VALUE, expires_at="never"),
            await door.http.get(SECRETS),
            await door.http.get(f"{SECRETS}/TOKEN"),
            await door.http.post(f"{SECRETS}/keys/rotate"),
            await door.http.delete(f"{SECRETS}/TOKEN"),
        ]
    log = await door.http.get("/api/audit", params={"limit": "100"})
    told = "".join([*(answer.text + str(answer.headers) for answer in [*answers, log]), caplog.text])
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())  # noqa: ASYNC240
    for form in (VALUE, json.dumps(VALUE)[1:-1], base64.b64encode(VALUE.encode()).decode(), "horse"):
        assert form not in told
        assert form.encode() not in kept
    entries = [(each["action"], each["object"], each["actor"]) for each in log.json()["items"]]
    assert entries[::-1] == [
        ("secret.set", "TOKEN", "admin"),
        ("secret.set", "TOKEN", "admin"),
        ("secret.rotate-key", answers[7].json()["key_id"], "admin"),
        ("secret.delete", "TOKEN", "admin"),
    ]
    assert [each["details"].get("version") for each in log.json()["items"]][::-1] == [1, 2, None, None]


def test_the_contract_says_that_a_value_is_only_written(tmp_path: Path) -> None:
    """Programs that are made from the contract know it for a password; no answer has a place for it."""
    settings, access = EngineSettings(data_dir=tmp_path), Access(None)
    routes = secret_routes(
        Secrets(SecretStore(tmp_path / "secrets.db"), None),
        FastAPIAuth(access.authenticator),
        AuditTrail(tmp_path / "audit", is_durable=False),
    )
    document = create_api(settings, title="Secrets", version="1.0.0", routers=[routes], problems=PROBLEMS).openapi()
    shapes = document["components"]["schemas"]
    assert shapes["SetSecret"]["properties"]["value"]["writeOnly"] is True
    assert shapes["SetSecret"]["properties"]["value"]["format"] == "password"
    assert list(tmp_path.iterdir()) == []  # making the contract touches nothing
    assert all("value" not in shape.get("properties", {}) for name, shape in shapes.items() if name != "SetSecret")
