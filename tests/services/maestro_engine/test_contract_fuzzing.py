"""The contract against the running engine, with sign-in on: what Schemathesis finds, keeping to it or not."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from services.maestro_engine.process import EngineProcess, make_admin
from services.maestro_engine.running import bearer

from kit.fuzzing import ContractFuzzing, FuzzTarget

DOCUMENT = Path("contracts/maestro-engine.openapi.json")
schema = schemathesis.openapi.from_path(DOCUMENT)

# Workflows and users belong to everybody who may see them, which test_who_may.py shows: only keys are personal.
SHARED = ["object_level_authorization"]
NEVER_TAKEN = {"GET /api/workflows/{workflow_id}/artifacts/{sha256}"}
"""What no client comes to by guessing: test_workflows.py has it."""
EXCUSED = {
    # Whether a definition can run is more than a JSON Schema says: a refusal of what fits the schema is no fault.
    "/api/workflows": ["positive_data_acceptance"],
    "/api/workflows/{workflow_id}": SHARED,
    "/api/workflows/{workflow_id}/cancel": SHARED,
    "/api/workflows/{workflow_id}/events": SHARED,
    "/api/access/users/{subject}": SHARED,
    "/api/access/users/{subject}/keys": SHARED,
}


KEPT = """
CREATE TRIGGER kept_keys BEFORE UPDATE OF revoked_at ON keys WHEN OLD.id IN ({ids}) BEGIN SELECT RAISE(IGNORE); END;
CREATE TRIGGER kept_users AFTER UPDATE ON users WHEN NEW.subject IN ('admin', 'ben')
BEGIN UPDATE users SET roles = OLD.roles, disabled = OLD.disabled WHERE subject = NEW.subject; END;
"""
"""Whoever tries everything shuts himself out sooner or later: what the two sign in with is kept in the file."""


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """An engine in a process of its own, and the keys of two admins."""

    process: EngineProcess
    keys: dict[str, str]

    def ask(self, path: str, body: Any = None) -> Any:
        return self.process.ask(path, body, key=self.keys["admin"])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """An engine to which everybody signs in."""
    folder = tmp_path_factory.mktemp("fuzzed")
    admin = make_admin(folder).stdout.strip()
    options = {"MAESTRO_ENGINE_AUTH": "on", "MAESTRO_ENGINE_SYNCHRONOUS": "NORMAL"}
    process = EngineProcess(folder, "--port", "0", **options)
    other = process.ask("/api/access/users", {"subject": "ben", "role": "admin"}, key=admin)["issued"]["secret"]
    keys = {"admin": admin, "ben": other}
    with contextlib.closing(sqlite3.connect(folder / "users.db")) as users:
        users.executescript(KEPT.format(ids=", ".join(f"'{key.split('_')[1]}'" for key in keys.values())))
    yield Fuzzed(process, keys)
    process.kill()


class TestFuzzing(ContractFuzzing):
    """Every check and every phase; MAESTRO_FUZZ=long tries many more."""

    @pytest.fixture
    def fuzz_target(self, engine: Fuzzed) -> FuzzTarget:
        users = {name: bearer(key) for name, key in engine.keys.items()}
        return FuzzTarget(DOCUMENT, engine.process.url, users=users, excused=EXCUSED)

    def test_every_answer_keeps_the_contract(self, fuzz_target: FuzzTarget, tmp_path: Path) -> None:
        """Nothing is found, and no operation was only ever refused: cancelling meets those that have ended, too."""
        super().test_every_answer_keeps_the_contract(fuzz_target, tmp_path)
        rates = json.loads((tmp_path / "report.json").read_text())["valid_rates"]
        reached = {
            name
            for name, phases in rates.items()
            if any(each["accepted"] or each["conflicts"] for each in phases.values())
        }
        assert rates.keys() - reached <= NEVER_TAKEN


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


def test_the_engine_outlives_it(engine: Fuzzed) -> None:
    """After all of that it is ready, and has written no trace of a fault."""
    assert engine.ask("/api/health/ready")["ready"] is True
    assert not any("request_failed" in line or "Traceback" in line for line in engine.process.lines)
