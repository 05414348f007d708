"""The contract against the running engine: what Schemathesis finds when it keeps to the document, and when not."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import positive_data_acceptance
from services.maestro_engine.process import EngineProcess

schema = schemathesis.openapi.from_path("contracts/maestro-engine.openapi.json")

# What these take is described only in part: whether a definition can run, and whether a cursor is one of ours, is more
# than a JSON Schema says. A refusal of what fits the schema is no fault there.
DEEPER_THAN_SCHEMA = {"/api/workflows"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """An engine in a process of its own, with small limits."""
    process = EngineProcess(tmp_path_factory.mktemp("fuzzed"), "--port", "0", MAESTRO_ENGINE_SYNCHRONOUS="NORMAL")
    process.line_with("Maestro engine on")
    yield process
    process.kill()


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_keeps_the_contract(case: schemathesis.Case[Any], engine: EngineProcess) -> None:
    """No fault of the service, only documented statuses, types and shapes; what breaks the schema is refused."""
    excluded: list[CheckFunction] = [positive_data_acceptance] if case.path in DEEPER_THAN_SCHEMA else []
    case.call_and_validate(base_url=engine.url, excluded_checks=excluded, timeout=20)


STEPS: dict[str, dict[str, Any]] = {
    "succeeds": {"kind": "shell", "with": {"command": "echo text"}},
    "keeps": {"kind": "shell", "with": {"command": 'date > "$MAESTRO_WORK_DIR/x"', "artifacts": {"x.txt": "x"}}},
    "fails": {"kind": "shell", "with": {"command": "exit 3"}},
    "maps": {"kind": "shell", "with": {"command": "echo ${{ item }}"}, "map": {"items": [1, 2]}},
    "skips": {"kind": "shell", "with": {"command": "true"}, "when": "${{ false }}"},
    "is-large": {"kind": "shell", "with": {"command": "head -c 300000 /dev/zero | tr '\\0' x"}},
    "retries": {"kind": "shell", "with": {"command": "exit 3"}, "retry": {"max_attempts": 9, "initial_delay_s": 60}},
}


@pytest.mark.parametrize("name", STEPS)
def test_real_workflows_have_the_shape_that_is_published(engine: EngineProcess, name: str) -> None:
    """States, lists and events of workflows that end in every way fit the contract."""
    definition = {"name": "sample", "steps": {name: STEPS[name]}}
    workflow_id = engine.ask("/api/workflows", {"definition": definition})["id"]
    engine.event_of(workflow_id, "step.failed" if name == "retries" else "workflow.")
    for path in ("/api/workflows/{workflow_id}", "/api/workflows/{workflow_id}/events"):
        case = schema[path]["GET"].Case(path_parameters={"workflow_id": workflow_id})
        assert case.call_and_validate(base_url=engine.url).status_code == 200
    listing = schema["/api/workflows"]["GET"].Case(query={"name": "sample"})
    assert listing.call_and_validate(base_url=engine.url).status_code == 200


def test_the_engine_outlives_it(engine: EngineProcess) -> None:
    """After all of that it is ready, and has written no trace of a fault."""
    assert engine.ask("/api/health")["ready"] is True
    assert not any("request_failed" in line or "Traceback" in line for line in engine.lines)
