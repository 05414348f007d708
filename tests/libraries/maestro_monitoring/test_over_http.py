"""The whole over a real server: requests, streams and sockets measured, traced, scraped and asked for readiness."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from libraries.maestro_monitoring.connections import openmetrics_families

from maestro_monitoring import HealthCheck, HealthChecks, Metrics, MetricsApp, RequestMetrics, TraceRequests
from maestro_monitoring.testing import FakeProbe, MetricsRecorder, SpanRecorder

BOUND_S = 20.0


class Served(uvicorn.Server):
    """A server that tells when it listens."""

    def __init__(self, app: object) -> None:
        super().__init__(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))  # type: ignore[arg-type]  # any ASGI app
        self.listening = asyncio.Event()

    async def startup(self, sockets: object = None) -> None:
        """Start, and tell it."""
        await super().startup()
        self.listening.set()


@asynccontextmanager
async def _served(app: object) -> AsyncIterator[httpx2.AsyncClient]:
    server = Served(app)
    serving = asyncio.create_task(server.serve())
    await asyncio.wait_for(server.listening.wait(), BOUND_S)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=BOUND_S) as client:
            yield client
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, BOUND_S)


async def test_a_service_is_measured_traced_scraped_and_asked() -> None:
    """What the scrape says, read by the strict OpenMetrics parser, is what was done; the exemplar leads to the span."""
    metrics, recorder, ended = Metrics(), SpanRecorder(), asyncio.Event()
    checks = HealthChecks([HealthCheck("db", FakeProbe())], metrics=metrics)
    app = FastAPI(telemetry={"tracing": False})

    @app.get("/orders/{order}")
    async def _order(order: int) -> int:
        return order

    @app.get("/events")
    async def _events() -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"data: tick\n\n"
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return StreamingResponse(body(), media_type="text/event-stream")

    @app.get("/readyz")
    async def _ready(request: Request) -> Response:
        report = await checks.report()
        return JSONResponse(report.as_json(), 200 if report.ready else 503)

    app.mount("/metrics", MetricsApp(metrics))
    app.add_middleware(RequestMetrics, metrics=metrics, skip_paths=["/metrics/"])
    app.add_middleware(TraceRequests, provider=recorder.provider)  # added last, and so outside: exemplars need its span
    seen = MetricsRecorder(metrics)

    async with _served(app) as client:
        for order in range(3):
            assert (await client.get(f"/orders/{order}")).json() == order
        assert (await client.get("/wp-admin.php")).status_code == 404
        assert (await client.get("/readyz")).json()["checks"]["db"]["status"] == "pass"
        async with client.stream("GET", "/events") as stream:
            assert await anext(stream.aiter_bytes())
            assert seen.delta("maestro_http_open_streams", kind="sse", http_route="/events") == 1
        await asyncio.wait_for(ended.wait(), BOUND_S)
        scraped = await client.get("/metrics/", headers={"accept": "application/openmetrics-text;version=1.0.0"})

    families = openmetrics_families(scraped.text)
    samples = [sample for family in families for sample in family.samples]
    counts = {
        (s.labels["http_route"], s.labels["http_response_status_code"]): s.value
        for s in samples
        if s.name == "http_server_request_duration_seconds_count"
    }
    assert counts == {
        ("/orders/{order}", "200"): 3.0,
        ("__unmatched__", "404"): 1.0,
        ("/readyz", "200"): 1.0,
        ("/events", "200"): 1.0,
    }
    assert seen.delta("maestro_http_open_streams") == 0
    assert seen.delta("http_server_active_requests") == 0
    traces = {f"{s.context.trace_id:032x}" for s in recorder.spans if s.context and s.name == "GET /orders/{order}"}
    exemplars = {
        s.exemplar.labels["trace_id"] for s in samples if s.exemplar and s.labels.get("http_route") == "/orders/{order}"
    }
    assert exemplars <= traces
    assert exemplars
