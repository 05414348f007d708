"""Health, the docs page, and an engine whose journal fails."""

from services.maestro_engine.running import Engine

from maestro_workflow_engine import EngineClosed


async def test_a_ready_engine_says_so_part_by_part(engine: Engine) -> None:
    """200, and each check by name for callers on this machine."""
    answer = await engine.http.get("/api/health/ready")
    health = answer.json()
    assert (answer.status_code, health["status"], health["ready"]) == (200, "ready", True)
    assert health["report"]["checks"]["journal"]["status"] == "pass"


async def test_an_engine_that_cannot_work_is_alive_and_not_ready(engine: Engine) -> None:
    """503 names the part that fails; work is refused with 503 as well."""
    await engine.backend.close(drain_s=0)
    answer = await engine.http.get("/api/health/ready")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert EngineClosed.__name__ in answer.json()["report"]["checks"]["journal"]["reason"]
    assert (await engine.http.get("/api/health/live")).status_code == 200
    refused = await engine.http.get("/api/workflows")
    assert (refused.status_code, refused.json()["code"]) == (503, "workflow.engine-closed")


async def test_a_stopping_engine_is_not_ready(engine: Engine) -> None:
    """A load balancer sends nothing more while readers are told to leave."""
    engine.app.drainer.stopping.set()
    answer = await engine.http.get("/api/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")


async def test_the_docs_page_may_load_nothing(engine: Engine) -> None:
    """The policy allows the one style sheet in the page and nothing else; the page tells what the engine adds."""
    answer = await engine.http.get("/api/docs")
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "POST /ws" not in answer.text
    assert "<code>WS /ws</code> sends stored events" in answer.text
    assert (await engine.http.get("/api/openapi.json")).json()["info"]["title"] == "Maestro engine"
