"""The only place where the parts are made and joined: `open_parts` and `create_app`."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.middleware import Middleware
from starlette.responses import Response

from maestro_audit_logger import LogHeld
from maestro_core_api import BaseAPI, CannotServe, create_api
from maestro_core_auth import AuthMiddleware, Principal, SqliteAuthStore
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import READ
from maestro_engine.access.service import Access
from maestro_engine.audit.service import AuditTrail
from maestro_engine.feed.follower import Follower
from maestro_engine.feed.hub import Hub
from maestro_engine.feed.socket import Door, SocketLimits, feed_routes
from maestro_engine.feed.sse import EventStream
from maestro_engine.http.about import ABOUT, CONTRACT_VERSION
from maestro_engine.http.access import access_routes
from maestro_engine.http.audit import audit_routes
from maestro_engine.http.denials import Denials
from maestro_engine.http.metrics import metrics_routes
from maestro_engine.http.problems import PROBLEMS
from maestro_engine.http.workflows import workflow_routes
from maestro_engine.observation.service import Observation, engine_health
from maestro_engine.settings import EngineSettings
from maestro_engine.workflows.contract import EventView
from maestro_engine.workflows.service import WorkflowService
from maestro_engine.workflows.templates import TemplateFolder
from maestro_monitoring import HealthChecks, Metrics, RequestMetrics, TraceRequests
from maestro_tools import tool_step_kinds
from maestro_workflow_engine import (
    EmbeddedBackend,
    ExecutionBackend,
    StepKind,
    builtin_step_kinds,
    plugin_step_kinds,
)

OPEN_ROUTES = (
    "GET /api/docs",
    "GET /api/health/live",
    "GET /api/health/ready",
    "GET /api/openapi.json",
    "GET /api/problems",
    "WS /ws",
)
"""What nobody has to sign in for; a socket is asked once it is open."""


def step_kinds() -> dict[str, StepKind]:
    """Every kind by name; a plugin may take the place of one of ours."""
    return {**builtin_step_kinds(), **tool_step_kinds(), **plugin_step_kinds()}


def embedded_backend(settings: EngineSettings, kinds: Mapping[str, StepKind]) -> EmbeddedBackend:
    """The backend on SQLite in the data folder; not open yet."""
    return EmbeddedBackend(
        settings.data_dir,
        kinds=kinds,
        max_parallel=settings.max_parallel_steps,
        synchronous=settings.synchronous,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What an app is made of; who gives them has opened them, and closes them after the app has ended."""

    backend: ExecutionBackend
    kinds: Mapping[str, StepKind]
    access: Access
    audit: AuditTrail
    metrics: Metrics
    health: HealthChecks


@asynccontextmanager
async def open_parts(
    settings: EngineSettings, kinds: Mapping[str, StepKind] | None = None, *, metrics: Metrics | None = None
) -> AsyncIterator[Parts]:
    """Open everything that the settings name, in the data folder.

    Raises CannotServe where another engine has the folder, nobody could sign in, or a file is not to be used;
    AuditError and AuditTrailError for a damaged log, AuthError for damaged users, EngineError for a damaged journal.
    """
    since = datetime.now(UTC)
    chosen = step_kinds() if kinds is None else kinds
    counted = metrics or Metrics()
    counted.add_process_metrics()
    async with AsyncExitStack() as stack:
        access = Access(await stack.enter_async_context(users_of(settings)) if settings.signs_in else None)
        if access.signs_in and not await access.has_admin():
            raise CannotServe(
                "callers have to sign in here, and there is no admin yet: run `maestro-engine init-admin`"
            )
        audit = AuditTrail(settings.data_dir / "audit", is_durable=settings.synchronous == "FULL")
        await asyncio.to_thread(_opened, settings, audit)
        stack.push_async_callback(audit.close)
        # After all that may refuse the start: it goes on with unfinished workflows at once.
        backend = await stack.enter_async_context(embedded_backend(settings, chosen))
        position = await asyncio.to_thread(audit.next_position)
        observation = Observation(backend, counted, since=since)
        accounts = Follower("audit", backend, audit.heard, from_position=position)
        measures = Follower("observation", backend, observation.heard, from_position=position)
        health = engine_health(
            backend, counted, {"audit": (audit.probe, accounts.probe), "observation": (measures.probe,)}
        )
        stack.push_async_callback(health.aclose)
        await stack.enter_async_context(measures)
        await stack.enter_async_context(accounts)
        # Before those who follow it: what steps do last is heard too.
        stack.push_async_callback(backend.close, settings.drain_s)
        yield Parts(backend, chosen, access, audit, counted, health)


def users_of(settings: EngineSettings) -> SqliteAuthStore:
    """Users and the digests of their keys; raises CannotServe or AuthError for a file that is not to be used."""
    try:
        return SqliteAuthStore(settings.users_file)
    except (OSError, sqlite3.Error) as error:
        raise CannotServe(f"{settings.users_file} cannot be opened: {error}") from error


def _opened(settings: EngineSettings, audit: AuditTrail) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        audit.open()
    except LogHeld as error:
        raise CannotServe(
            f"another engine works on {settings.data_dir}: {error}. Stop it, or choose another --data-dir."
        ) from error
    except OSError as error:
        raise CannotServe(f"{settings.data_dir} cannot be used: {error}") from error


def create_app(settings: EngineSettings, parts: Parts, *, hub: Hub | None = None) -> BaseAPI:
    """The application over open parts."""
    backend, audit = parts.backend, parts.audit
    readers = hub or Hub(max_readers=settings.max_readers)
    templates = TemplateFolder(settings.templates)
    auth = FastAPIAuth(parts.access.authenticator)

    async def check_still(reader: Principal) -> None:
        await parts.access.check_still(reader, READ)

    door = Door(parts.access.authenticator, READ, check_still, within_s=settings.first_message_timeout_s)

    def open_stream(workflow_id: str, from_seq: int) -> Response:
        return EventStream(
            lambda: backend.watch(workflow_id, from_seq=from_seq, buffer=settings.reader_buffer_events),
            readers,
            heartbeat_s=settings.heartbeat_s,
            send_timeout_s=settings.reader_timeout_s,
            check_still=check_still,
        )

    app = create_api(
        settings,
        title="Maestro engine",
        version=CONTRACT_VERSION,
        description=ABOUT,
        routers=(
            workflow_routes(WorkflowService(backend, templates, parts.kinds), backend, auth, audit, open_stream),
            access_routes(parts.access, auth, audit),
            audit_routes(audit, auth),
            metrics_routes(parts.metrics, auth),
            feed_routes(backend, readers, _socket_limits(settings), door),
        ),
        problems=PROBLEMS,
        readiness=parts.health,
        observers=[
            Middleware(TraceRequests),
            Middleware(RequestMetrics, metrics=parts.metrics),
            Middleware(Denials, audit=audit),
        ],
        middleware=[Middleware(AuthMiddleware, authenticator=parts.access.authenticator)],
        schemas=[EventView],
    )
    auth.check_routes(app, OPEN_ROUTES)
    return app


def _socket_limits(settings: EngineSettings) -> SocketLimits:
    return SocketLimits(
        max_message_bytes=settings.max_message_bytes,
        max_subscriptions=settings.max_subscriptions,
        buffer_events=settings.reader_buffer_events,
        send_timeout_s=settings.reader_timeout_s,
        heartbeat_s=settings.heartbeat_s,
    )


def contract_app() -> BaseAPI:
    """The application as its contract describes it: made of parts that are not open, so nothing is touched."""
    settings = EngineSettings()
    backend, metrics = embedded_backend(settings, {}), Metrics()
    audit = AuditTrail(settings.data_dir / "audit")
    parts = Parts(backend, {}, Access(None), audit, metrics, engine_health(backend, metrics))
    return create_app(settings, parts)
