"""`/api/health`: whether the engine lives and is ready."""

import asyncio

from fastapi import APIRouter
from starlette.responses import JSONResponse

from maestro_engine.workflows.contract import Health
from maestro_engine.workflows.templates import TemplateFolder
from maestro_workflow_engine import ExecutionBackend

_PROBE_TIMEOUT_S = 2.0


def health_routes(
    backend: ExecutionBackend, templates: TemplateFolder, is_stopping: asyncio.Event, version: str
) -> APIRouter:
    """The one route of this file; it answers 503 when the engine cannot take work."""
    routes = APIRouter(tags=["health"])

    @routes.get(
        "/api/health",
        response_model=Health,
        response_description="Ready.",
        responses={503: {"model": Health, "description": "Not ready."}},
    )
    async def read_health() -> JSONResponse:
        """Say whether the engine is ready, and part by part why not."""
        checks = {
            "journal": await _journal(backend),
            "lifecycle": "stopping" if is_stopping.is_set() else "ok",
        }
        ready = all(result == "ok" for result in checks.values())
        health = Health(
            status="ready" if ready else "not-ready",
            ready=ready,
            version=version,
            checks=checks,
            templates=len(templates.names()),
        )
        return JSONResponse(health.model_dump(), status_code=200 if ready else 503)

    return routes


async def _journal(backend: ExecutionBackend) -> str:
    """One short read; what it raises is the answer to the question, not a fault of the request."""
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            await backend.list(limit=1)
    except TimeoutError:
        return f"no answer within {_PROBE_TIMEOUT_S:g} s"
    except Exception as error:
        return str(getattr(error, "code", "failed"))
    return "ok"
