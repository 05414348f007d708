"""Whether a service lives and whether it can take work."""

import asyncio
import ipaddress
from collections.abc import Collection
from typing import Any, Protocol

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from maestro_core_api._drain import Drain
from maestro_core_logging import get_logger

_log = get_logger("maestro_core_api")


class ReadinessReport(Protocol):
    """What a report on readiness has; `as_json` is shown to callers who may see the inside."""

    @property
    def ready(self) -> bool: ...

    def as_json(self) -> dict[str, Any]: ...


class Readiness(Protocol):
    """Whoever knows whether the parts of a service work, for one maestro_monitoring.HealthChecks."""

    async def report(self) -> ReadinessReport: ...


class Live(BaseModel):
    """The process answers."""

    status: str = Field("live", description="Always `live`: a process that is not does not answer.")
    version: str = Field(description="Of the contract that this service keeps.")


class Ready(BaseModel):
    """Whether work may be sent here."""

    status: str = Field(description="`ready`, `not-ready` or `stopping`.")
    ready: bool
    version: str = Field(description="Of the contract that this service keeps.")
    report: dict[str, Any] | None = Field(None, description="Part by part; only for callers who may see the inside.")


def health_routes(
    prefix: str,
    version: str,
    drain: Drain,
    *,
    readiness: Readiness | None = None,
    timeout_s: float = 3.0,
    detail_for: Collection[str] = (),
) -> APIRouter:
    """`{prefix}/health/live` and `{prefix}/health/ready`; `detail_for` holds the networks that may see the inside."""
    routes = APIRouter(prefix=f"{prefix}/health", tags=["health"])
    inside = [ipaddress.ip_network(each) for each in detail_for]

    @routes.get("/live", response_description="The process answers.")
    async def read_liveness() -> Live:
        """Say that the process answers; restart it when this fails."""
        return Live(status="live", version=version)

    @routes.get(
        "/ready",
        response_model=Ready,
        response_description="Ready.",
        responses={503: {"model": Ready, "description": "Not ready: send work elsewhere."}},
    )
    async def read_readiness(request: Request) -> JSONResponse:
        """Say whether work may be sent here; a service that is stopping says no while it still answers."""
        ready, report = await _report(readiness, timeout_s)
        status = "ready" if ready else "not-ready"
        if drain.stopping.is_set():
            ready, status = False, "stopping"
        shown = report if _may_see_inside(request, inside) else None
        body = Ready(status=status, ready=ready, version=version, report=shown)
        headers = {"Cache-Control": "no-store"}
        return JSONResponse(body.model_dump(mode="json"), status_code=200 if ready else 503, headers=headers)

    return routes


async def _report(readiness: Readiness | None, timeout_s: float) -> tuple[bool, dict[str, Any] | None]:
    """Ready or not, and why; a report that fails is the answer no, and its reason is in the log."""
    if readiness is None:
        return True, None
    try:
        async with asyncio.timeout(timeout_s):
            report = await readiness.report()
        return report.ready, report.as_json()
    except TimeoutError:
        return False, {"error": f"no report within {timeout_s:g} s"}
    except Exception as error:
        _log.exception("health.report_failed")
        return False, {"error": str(getattr(error, "code", "the report failed"))}


def _may_see_inside(request: Request, inside: Collection[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    """Whether the peer is in one of the networks, and speaks for itself: behind a proxy everyone is its neighbour."""
    if request.client is None or {"forwarded", "x-forwarded-for", "x-real-ip"} & set(request.headers):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in inside)
