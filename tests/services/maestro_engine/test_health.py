"""Health, the docs page, and an engine whose journal fails."""

import base64
import hashlib
import re

from services.maestro_engine.running import Engine

from maestro_workflow_engine import EngineClosed


async def test_a_ready_engine_says_so_part_by_part(engine: Engine) -> None:
    """200, and each check by name."""
    answer = await engine.http.get("/api/health")
    health = answer.json()
    assert (answer.status_code, health["status"], health["ready"], health["live"]) == (200, "ready", True, True)
    assert health["checks"] == {"journal": "ok", "lifecycle": "ok"}


async def test_an_engine_that_cannot_work_is_alive_and_not_ready(engine: Engine) -> None:
    """503 names the part that fails by its code; work is refused with 503 as well."""
    await engine.backend.close(drain_s=0)
    answer = await engine.http.get("/api/health")
    assert (answer.status_code, answer.json()["live"], answer.json()["ready"]) == (503, True, False)
    assert answer.json()["checks"]["journal"] == EngineClosed.code
    refused = await engine.http.get("/api/workflows")
    assert (refused.status_code, refused.json()["code"]) == (503, "workflow.engine-closed")


async def test_a_stopping_engine_is_not_ready(engine: Engine) -> None:
    """A load balancer sends nothing more while readers are told to leave."""
    engine.hub.stop()
    answer = await engine.http.get("/api/health")
    assert (answer.status_code, answer.json()["checks"]["lifecycle"]) == (503, "stopping")


async def test_the_docs_page_may_load_nothing(engine: Engine) -> None:
    """The policy allows the one style sheet in the page, by its digest, and nothing else."""
    answer = await engine.http.get("/api/docs")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    style = re.search("<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert (await engine.http.get("/api/openapi.json")).json()["info"]["title"] == "Maestro engine"
