"""The door to FastAPI: who is let in, what the others are told, and what OpenAPI says of it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_auth.attacks import mangled
from libraries.maestro_core_auth.example_app import OPEN, ORIGIN, POLICY, World, make_world
from starlette.requests import Request
from starlette.responses import JSONResponse

import maestro_core_auth
from maestro_core_auth import (
    COOKIE,
    ApiKeys,
    Authenticator,
    AuthError,
    AuthMiddleware,
    CrossOrigin,
    InvalidPolicy,
    MemoryAuthStore,
    UnguardedRoute,
    ended_session_cookie,
    session_cookie,
)
from maestro_core_auth.fastapi import CLOSE_BY_CODE, STATUS_BY_CODE, FastAPIAuth, answer_auth_error


@pytest.fixture
async def world() -> World:
    return await make_world()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(world.app) as made:
        yield made


def client_of(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://api.example")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_key_and_a_token_open_the_same_door(world: World, client: httpx2.AsyncClient) -> None:
    """Both as Bearer; the scheme in any case, as HTTP wants it."""
    token = await world.tokens.issue("viewer", {"viewer"})
    for kind, credential in (("key", world.credentials["viewer"]), ("token", token)):
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = await client.get("/me", headers={"Authorization": f"{scheme} {credential}"})
            assert (answer.status_code, answer.json()) == (200, {"subject": "viewer", "kind": kind})


async def test_without_credentials_one_is_asked_for_them(client: httpx2.AsyncClient) -> None:
    """401 with the challenge of RFC 6750, which names no error where none was made."""
    answer = await client.get("/me")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="maestro"')
    assert answer.json()["code"] == "auth.missing-credentials"
    assert answer.headers["cache-control"] == "no-store"


async def test_every_bad_credential_gets_the_same_answer(world: World, client: httpx2.AsyncClient) -> None:
    """Unknown, wrong, revoked, expired, mistyped, forged: nobody learns which."""
    revoked = await world.keys.issue("viewer")
    await world.keys.revoke(revoked.record.id)
    short = await world.keys.issue("viewer", lifetime_s=1)
    world.clock.advance(2)
    good = world.credentials["viewer"]
    other = await ApiKeys(await _with_viewer(), clock=world.clock).issue("viewer")
    token = await world.tokens.issue("viewer", {"viewer"})
    bad = [revoked.secret, short.secret, other.secret, good[:-1], good.swapcase(), token[:-9], "x", "a.b.c"]
    answers = [await client.get("/me", headers=bearer(one)) for one in bad]
    seen = {(answer.status_code, answer.headers["www-authenticate"], answer.text) for answer in answers}
    assert len(seen) == 1
    assert answers[0].status_code == 401
    assert 'error="invalid_token"' in answers[0].headers["www-authenticate"]


async def _with_viewer() -> MemoryAuthStore:
    store = MemoryAuthStore()
    await maestro_core_auth.Users(store).add("viewer", {"viewer"})
    return store


async def test_an_expired_token_says_so(world: World, client: httpx2.AsyncClient) -> None:
    """So that a client refreshes it and does not log its user out."""
    token = await world.tokens.issue("viewer", {"viewer"})
    world.clock.advance(630)
    answer = await client.get("/me", headers=bearer(token))
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token-expired")


async def test_who_may_not_is_told_what_is_missing(world: World, client: httpx2.AsyncClient) -> None:
    """403 with the permission; a key's scopes narrow what its owner may."""
    narrow = await world.keys.issue("admin", scopes={"workflow:read"})
    for credential in (world.credentials["viewer"], narrow.secret):
        answer = await client.post("/workflows", json={}, headers=bearer(credential))
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.forbidden")
        assert 'error="insufficient_scope", scope="workflow:write"' in answer.headers["www-authenticate"]
    assert (await client.get("/workflows/7", headers=bearer(narrow.secret))).json() == 7


async def test_the_guard_comes_before_the_question(client: httpx2.AsyncClient) -> None:
    """Nobody learns from a 422 or 404 what a stranger may not ask."""
    assert (await client.get("/workflows/not-a-number")).status_code == 401
    assert (await client.post("/workflows", content=b"{")).status_code == 401


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {} {}", "Bearer\t{}", "Bearer {},{}", "Token {}", "Bearer: {}"],
)
async def test_one_form_of_the_header_is_taken(world: World, client: httpx2.AsyncClient, value: str) -> None:
    header = value.replace("{}", world.credentials["admin"])
    assert (await client.get("/me", headers={"Authorization": header})).status_code == 401


async def test_two_headers_are_one_too_many(world: World, client: httpx2.AsyncClient) -> None:
    """A proxy and we might read different ones."""
    headers = [("Authorization", f"Bearer {world.credentials[role]}") for role in ("viewer", "admin")]
    assert (await client.get("/me", headers=headers)).status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "key", "authorization"])
async def test_nothing_is_taken_from_a_url(world: World, client: httpx2.AsyncClient, name: str) -> None:
    """URLs end in logs, histories and referrers."""
    answer = await client.get("/me", params={name: world.credentials["admin"]})
    assert answer.json()["code"] == "auth.missing-credentials"
    assert (await client.get("/me", headers={"X-API-Key": world.credentials["admin"]})).status_code == 401


async def test_a_session_reads_and_changes_from_our_own_pages(world: World, client: httpx2.AsyncClient) -> None:
    """A change needs our Origin, or the browser's word that it is of the same one."""
    session = await world.sessions.start("admin")
    cookie = {"Cookie": f"theme=dark; {COOKIE}={session.secret}"}
    assert (await client.get("/me", headers=cookie)).json() == {"subject": "admin", "kind": "session"}
    for extra in ({"Origin": ORIGIN}, {"Sec-Fetch-Site": "same-origin"}):
        assert (await client.post("/workflows", json={}, headers={**cookie, **extra})).status_code == 200
    await world.sessions.revoke(session.record.id)
    assert (await client.get("/me", headers=cookie)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "http://app.example"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Referer": "https://app.example/"},
    ],
    ids=str,
)
async def test_a_change_from_elsewhere_is_refused(
    world: World, client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    session = await world.sessions.start("admin")
    cookie = {"Cookie": f"{COOKIE}={session.secret}"}
    answer = await client.post("/workflows", json={}, headers={**cookie, **headers})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.cross-origin")


@pytest.mark.parametrize(("origin", "good"), [(ORIGIN, True), ("https://evil.example", False), (None, False)])
async def test_a_socket_with_a_cookie_is_opened_by_our_own_pages(world: World, origin: str | None, good: bool) -> None:
    """A page of somebody else's cannot open one in our user's name, although the browser adds the cookie."""
    session = await world.sessions.start("admin")
    headers = [(b"cookie", f"{COOKIE}={session.secret}".encode())]
    headers += [(b"origin", origin.encode())] if origin else []
    scope: dict[str, Any] = {"type": "websocket", "headers": headers}
    if good:
        assert (await world.authenticator.authenticate(scope)).subject == "admin"
    else:
        with pytest.raises(CrossOrigin):
            await world.authenticator.authenticate(scope)


async def test_a_wrong_header_does_not_fall_back_to_a_good_cookie(world: World, client: httpx2.AsyncClient) -> None:
    session = await world.sessions.start("admin")
    headers = {"Cookie": f"{COOKIE}={session.secret}", **bearer("mst_wrong")}
    assert (await client.get("/me", headers=headers)).status_code == 401


async def test_two_cookies_of_our_name_are_refused(world: World, client: httpx2.AsyncClient) -> None:
    """One of them was set by somebody else."""
    ours, theirs = [(await world.sessions.start("admin")).secret for _ in range(2)]
    headers = {"Cookie": f"{COOKIE}={theirs}; {COOKIE}={ours}"}
    assert (await client.get("/me", headers=headers)).status_code == 401


@given(st.data())
async def test_no_changed_cookie_is_let_in(data: st.DataObject) -> None:
    """Nor a key or a token in its place."""
    world = await make_world()
    session = await world.sessions.start("admin")
    changed = data.draw(st.one_of(mangled(session.secret), st.just(world.credentials["admin"])))
    changed = changed.encode("ascii", "ignore").decode()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "headers": [(b"cookie", f"{COOKIE}={changed}".encode())],
    }
    # Spaces around a value, and what follows a semicolon, are none of its own.
    if changed.partition(";")[0].strip() != session.secret:
        with pytest.raises(AuthError):
            await world.authenticator.authenticate(scope)
        assert "principal" not in scope["state"]


def test_the_cookie_is_for_the_browser_alone() -> None:
    """HttpOnly, Secure, SameSite=Strict, and a name that no other host can set."""
    assert session_cookie("mss_x", 60) == (
        "__Host-maestro-session=mss_x; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Strict"
    )
    assert "Max-Age=0" in ended_session_cookie()


async def test_the_principal_is_where_others_look_for_it(world: World) -> None:
    """In the scope's state, before the application runs when the middleware is there, and after the guard else."""
    seen: list[Any] = []

    @world.app.get("/seen", dependencies=[world.auth.principal])
    async def see(request: Request) -> JSONResponse:
        seen.append(request.state.principal.subject)
        return JSONResponse({})

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        seen.append(getattr(scope["state"].get("principal"), "subject", None))
        await world.app(scope, receive, send)

    headers = bearer(world.credentials["viewer"])
    async with client_of(AuthMiddleware(outer, authenticator=world.authenticator)) as client:
        assert (await client.get("/seen", headers=headers)).status_code == 200
        assert (await client.get("/seen", headers=bearer("nonsense"))).status_code == 401
        assert (await client.get("/health", headers=bearer("nonsense"))).status_code == 200
    async with client_of(world.app) as client:
        assert (await client.get("/seen", headers=headers)).status_code == 200
    assert seen == ["viewer", "viewer", None, None, "viewer"]


async def test_a_credential_is_verified_once_a_request(world: World) -> None:
    """However many dependencies ask, and the middleware too."""
    asked: list[str] = []

    class Counting:
        async def verify(self, secret: str, /) -> Any:
            asked.append(secret)
            return await world.keys.verify(secret)

    authenticator = Authenticator(POLICY, api_keys=Counting())
    auth = FastAPIAuth(authenticator)
    app = FastAPI(dependencies=[auth.principal])

    @app.get("/x", dependencies=[auth.require("workflow:read")])
    async def x() -> None:
        return None

    async with client_of(AuthMiddleware(app, authenticator=authenticator)) as client:
        assert (await client.get("/x", headers=bearer(world.credentials["viewer"]))).status_code == 200
    assert len(asked) == 1


async def test_a_kind_that_is_not_set_up_is_refused() -> None:
    """Without verifiers nothing is let in."""
    world = await make_world()
    authenticator = Authenticator(POLICY)
    for token in (world.credentials["admin"], await world.tokens.issue("admin", {"admin"})):
        with pytest.raises(AuthError):
            await authenticator.authenticate_token(token)


def test_openapi_says_how_to_authenticate_and_where(world: World) -> None:
    """Each guarded operation names its schemes, either of which is enough; open ones name none."""
    document = world.app.openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    assert schemes["session"] == {"type": "apiKey", "in": "cookie", "name": COOKIE}
    either: list[dict[str, list[str]]] = [{"bearer": []}, {"session": []}]
    guarded = {
        f"{method.upper()} {path}": operation.get("security")
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert guarded == {
        "GET /health": None,
        "GET /me": either,
        "GET /workflows/{number}": either,
        "POST /workflows": either,
        "GET /v1/audit": either,
    }


def test_without_cookies_openapi_names_none() -> None:
    app, auth = FastAPI(), FastAPIAuth(Authenticator(POLICY))

    @app.get("/x", dependencies=[auth.require("audit:read")])
    async def x() -> None:
        return None

    assert list(app.openapi()["components"]["securitySchemes"]) == ["bearer"]


def test_a_permission_that_is_not_declared_is_refused_where_it_is_written(world: World) -> None:
    """When the module is imported, and not when the first request comes."""
    with pytest.raises(InvalidPolicy, match="workflow:raed"):
        world.auth.require("workflow:raed")


def test_an_application_with_an_unguarded_route_does_not_start(world: World) -> None:
    """Every route is guarded or named as open; a name of no open route is a mistake too."""
    world.auth.check_routes(world.app, OPEN)

    @world.app.delete("/forgotten")
    async def forgotten() -> None:
        return None

    with pytest.raises(UnguardedRoute) as caught:
        world.auth.check_routes(world.app, [*OPEN, "GET /me", "GET /nowhere"])
    assert str(caught.value) == (
        "DELETE /forgotten is open to everybody; GET /me is named as open, and is no open route; "
        "GET /nowhere is named as open, and is no open route"
    )


def test_a_router_included_with_a_guard_is_guarded(world: World) -> None:
    """Also when the guard is given where it is included, and also a mounted application is looked into."""
    from fastapi import APIRouter

    app, router, inner = FastAPI(openapi_url=None), APIRouter(), FastAPI(openapi_url=None)

    @router.get("/deep")
    async def deep() -> None:
        return None

    @inner.get("/mounted")
    async def mounted() -> None:
        return None

    app.include_router(router, prefix="/a", dependencies=[world.auth.principal])
    app.include_router(router, prefix="/b")
    app.mount("/inner", inner)
    with pytest.raises(UnguardedRoute) as caught:
        world.auth.check_routes(app, [])
    assert str(caught.value) == "GET /b/deep is open to everybody; GET /inner/mounted is open to everybody"


def test_every_error_that_a_request_may_meet_has_a_status() -> None:
    """And the codes are those of the errors; 401 and 403 close a socket with 4401 and 4403."""
    ours = {
        error.code
        for error in vars(maestro_core_auth).values()
        if isinstance(error, type) and issubclass(error, AuthError)
    }
    inside = {
        "auth",
        "auth.invalid-policy",
        "auth.invalid-grant",
        "auth.unknown-user",
        "auth.user-exists",
        "auth.unknown-key",
    }
    inside |= {"auth.admin-exists", "auth.no-signing-key", "auth.store-unreadable", "auth.unguarded-route"}
    assert set(STATUS_BY_CODE) == ours - inside
    assert set(CLOSE_BY_CODE.values()) == {4401, 4403}


async def test_an_error_of_the_server_is_not_answered_as_the_clients() -> None:
    with pytest.raises(InvalidPolicy):
        await answer_auth_error(Request({"type": "http"}), InvalidPolicy("a mistake of ours"))


async def test_a_wait_is_told_in_whole_seconds() -> None:
    error = maestro_core_auth.LoginThrottled(retry_after_s=7.6)
    answer = await answer_auth_error(Request({"type": "http"}), error)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")
