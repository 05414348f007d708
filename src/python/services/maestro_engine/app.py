"""The only place where the parts are joined: `create_app` over what `parts` has opened."""

from datetime import timedelta

from starlette.middleware import Middleware
from starlette.responses import Response

from maestro_core_api import BaseAPI, Idempotency, create_api
from maestro_core_auth import AuthMiddleware, Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import READ
from maestro_engine.feed.hub import Hub
from maestro_engine.feed.socket import Door, SocketLimits, feed_routes
from maestro_engine.feed.sse import EventStream
from maestro_engine.http.about import ABOUT, CONTRACT_VERSION
from maestro_engine.http.access import access_routes
from maestro_engine.http.audit import audit_routes
from maestro_engine.http.control import control_routes
from maestro_engine.http.denials import Denials
from maestro_engine.http.export import export_routes
from maestro_engine.http.limits import inbox_routes, limit_routes
from maestro_engine.http.metrics import metrics_routes
from maestro_engine.http.problems import PROBLEMS
from maestro_engine.http.schedules import schedule_routes
from maestro_engine.http.secrets import secret_routes
from maestro_engine.http.templates import template_routes
from maestro_engine.http.utcp import utcp_routes
from maestro_engine.http.webhooks import webhook_routes
from maestro_engine.http.workflows import workflow_routes
from maestro_engine.mcp.route import mcp_routes
from maestro_engine.parts import Parts, closed_parts
from maestro_engine.settings import EngineSettings
from maestro_engine.workflows.contract import EventView
from maestro_engine.workflows.export import BundleSigner, Exports
from maestro_monitoring import RequestMetrics, TraceRequests

OPEN_ROUTES = (
    "GET /api/docs",
    "GET /api/health/live",
    "GET /api/health/ready",
    "GET /api/openapi.json",
    "GET /api/problems",
    "WS /ws",
)
"""What nobody has to sign in for; a socket is asked once it is open."""

_LEASE_MORE_S = 5.0
"""So much longer than any request may take its Idempotency-Key is held."""


def create_app(settings: EngineSettings, parts: Parts, *, hub: Hub | None = None) -> BaseAPI:
    """The application over open parts."""
    backend, audit = parts.backend, parts.audit
    readers = hub or Hub(max_readers=settings.max_readers)
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

    exports = Exports(backend, BundleSigner(settings.data_dir / "bundle-signing.key"))
    lease = timedelta(seconds=settings.request_timeout_s + _LEASE_MORE_S)
    app = create_api(
        settings,
        title="Maestro engine",
        version=CONTRACT_VERSION,
        description=ABOUT,
        routers=(
            workflow_routes(parts.workflows, backend, auth, audit, open_stream),
            control_routes(parts.control, backend, auth, audit),
            export_routes(exports, auth, audit),
            inbox_routes(parts.control, backend, auth, audit),
            limit_routes(backend, auth, audit),
            template_routes(parts.templates, parts.schedules.users_of, auth, audit),
            schedule_routes(parts.schedules, auth, audit),
            webhook_routes(parts.webhooks, auth, audit),
            secret_routes(parts.secrets, auth, audit),
            access_routes(parts.access, auth, audit),
            audit_routes(audit, auth),
            metrics_routes(parts.metrics, auth),
            mcp_routes(parts.mcp, auth),
            utcp_routes(
                parts.mcp.source,
                parts.access.authenticator,
                auth,
                signs_in=parts.access.signs_in,
                public_url=settings.public_url,
            ),
            feed_routes(backend, readers, _socket_limits(settings), door),
        ),
        problems=PROBLEMS,
        readiness=parts.health,
        observers=[
            Middleware(TraceRequests),
            Middleware(RequestMetrics, metrics=parts.metrics),
            Middleware(Denials, audit=audit),
        ],
        middleware=[
            Middleware(AuthMiddleware, authenticator=parts.access.authenticator),
            Middleware(Idempotency, store=parts.keys, lease=lease),
        ],
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
    """The application as its contract describes it: nothing is opened, so nothing is touched."""
    return create_app(EngineSettings(), closed_parts())
