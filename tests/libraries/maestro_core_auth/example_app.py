"""An application guarded in every way there is, with a user for each role."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, WebSocket

from maestro_core_auth import (
    ApiKeys,
    Authenticator,
    AuthError,
    MemoryAuthStore,
    Policy,
    Principal,
    Sessions,
    Users,
)
from maestro_core_auth.fastapi import CLOSE_BY_CODE, FastAPIAuth, answer_auth_error
from maestro_core_auth.testing import ManualClock
from maestro_core_auth.tokens import AccessRules, AccessTokens, SigningKeys

ORIGIN = "https://app.example"
OPEN = ("GET /health", "GET /openapi.json", "GET /docs", "GET /docs/oauth2-redirect", "GET /redoc", "WS /ws")
POLICY = Policy.from_data(
    {
        "permissions": ["audit:read", "workflow:read", "workflow:write"],
        "roles": {
            "viewer": {"may": ["workflow:read"]},
            "operator": {"includes": ["viewer"], "may": ["workflow:*"]},
            "admin": {"includes": ["operator"], "may": ["*"]},
        },
    }
)
ROLES = ("viewer", "operator", "admin")


@dataclass
class World:
    """The application, its parts, and a key for each role."""

    app: FastAPI
    auth: FastAPIAuth
    authenticator: Authenticator
    clock: ManualClock
    users: Users
    keys: ApiKeys
    sessions: Sessions
    tokens: AccessTokens
    credentials: dict[str, str]


async def make_world() -> World:
    """A new application with a user and a key for each role."""
    clock, store = ManualClock(), MemoryAuthStore()
    users, keys, sessions = Users(store), ApiKeys(store, clock=clock), Sessions(store, clock=clock)
    signing_keys = SigningKeys(store, clock=clock)
    await signing_keys.rotate()
    tokens = AccessTokens(signing_keys, AccessRules("https://auth.example", "https://api.example"), clock=clock)
    authenticator = Authenticator(POLICY, api_keys=keys, access_tokens=tokens, sessions=sessions, origins=[ORIGIN])
    credentials = {}
    for role in ROLES:
        await users.add(role, {role})
        credentials[role] = (await keys.issue(role)).secret
    auth = FastAPIAuth(authenticator)
    return World(make_app(authenticator, auth), auth, authenticator, clock, users, keys, sessions, tokens, credentials)


def make_app(authenticator: Authenticator, auth: FastAPIAuth) -> FastAPI:
    """Routes of every kind: by a parameter, by the decorator, by a router that is included, and a socket."""
    app = FastAPI()
    app.add_exception_handler(AuthError, answer_auth_error)

    @app.get("/health")
    async def health() -> str:
        return "ok"

    @app.get("/me")
    async def me(principal: Annotated[Principal, auth.principal]) -> dict[str, Any]:
        return {"subject": principal.subject, "kind": principal.kind}

    @app.get("/workflows/{number}")
    async def read(number: int, _: Annotated[Principal, auth.require("workflow:read")]) -> int:
        return number

    @app.post("/workflows", dependencies=[auth.require("workflow:write")])
    async def write(body: dict[str, str]) -> dict[str, str]:
        return body

    router = APIRouter(prefix="/audit", dependencies=[auth.require("audit:read")])

    @router.get("")
    async def audit() -> list[str]:
        return []

    app.include_router(router, prefix="/v1")

    @app.websocket("/audit/feed")
    async def audit_feed(socket: WebSocket, _: Annotated[Principal, auth.require("audit:read")]) -> None:
        await socket.accept()
        await socket.receive_text()

    @app.websocket("/ws")
    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        try:
            principal = await authenticator.authenticate_first_message(socket.scope, socket.receive)
            authenticator.authorize(principal, "workflow:read")
        except AuthError as error:
            await socket.close(CLOSE_BY_CODE[error.code], error.code)
            return
        await socket.send_text(principal.subject)
        await socket.receive_text()

    return app
