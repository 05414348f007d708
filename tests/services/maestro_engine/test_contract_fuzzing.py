"""The contract of workflows against the running engine: what Schemathesis finds, and real workflows of every end."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from services.maestro_engine.fuzzed import DOCUMENT, EngineFuzzing, Fuzzed, fuzzed_engine
from services.maestro_engine.running import bearer

schema = schemathesis.openapi.from_path(DOCUMENT)


class TestFuzzing(EngineFuzzing):
    """Starting, reading, cancelling, exporting."""

    paths = r"^/api/workflows(/\{workflow_id\}(/(cancel|events|artifacts.*|export|rerun|why|definition|states.*))?)?$"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """An engine to which everybody signs in."""
    with fuzzed_engine(tmp_path_factory.mktemp("shapes")) as engine:
        yield engine


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
def test_real_workflows_have_the_shape_that_is_published(engine: Fuzzed, name: str) -> None:
    """States, lists and events of workflows that end in every way fit the contract."""
    definition = {"name": "sample", "steps": {name: STEPS[name]}}
    workflow_id = engine.ask("/api/workflows", {"definition": definition})["id"]
    engine.process.event_of(workflow_id, "step.failed" if name == "retries" else "workflow.", key=engine.keys["admin"])
    url, headers = engine.process.url, bearer(engine.keys["admin"])
    for path in ("/api/workflows/{workflow_id}", "/api/workflows/{workflow_id}/events"):
        case = schema[path]["GET"].Case(path_parameters={"workflow_id": workflow_id}, headers=headers)
        assert case.call_and_validate(base_url=url).status_code == 200
    listing = schema["/api/workflows"]["GET"].Case(query={"name": "sample"}, headers=headers)
    assert listing.call_and_validate(base_url=url).status_code == 200
