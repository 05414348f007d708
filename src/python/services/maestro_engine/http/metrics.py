"""`/metrics`: what Prometheus reads."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from maestro_core_api import problems
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import METRICS
from maestro_monitoring import OPENMETRICS, TEXT, Metrics, MetricsApp

_ANSWER: dict[str, Any] = {
    "description": "Prometheus text, or OpenMetrics for who asks for it.",
    "content": {each.partition(";")[0]: {"schema": {"type": "string"}} for each in (TEXT, OPENMETRICS)},
}


class _Exposition(Response):
    """Leaves the answer to the app that knows its forms."""

    def __init__(self, app: MetricsApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def metrics_routes(metrics: Metrics, auth: FastAPIAuth) -> APIRouter:
    """The route `/metrics`."""
    routes = APIRouter(tags=["about"])
    exposition = _Exposition(MetricsApp(metrics))

    @routes.get(
        "/metrics",
        dependencies=[auth.require(METRICS)],
        responses={200: _ANSWER, **problems(401, 403)},
        response_class=Response,
    )
    async def read_metrics() -> Response:
        """Read every metric of this process."""
        return exposition

    return routes
