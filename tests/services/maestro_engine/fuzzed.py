"""An engine for Schemathesis, with sign-in on, and what no JSON Schema can say of its contract."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from services.maestro_engine.process import EngineProcess, make_admin
from services.maestro_engine.running import bearer

from kit.fuzzing import ContractFuzzing, FuzzTarget

DOCUMENT = Path("contracts/maestro-engine.openapi.json")

# Workflows and users belong to everybody who may see them, which test_who_may.py shows: only keys are personal.
SHARED = ["object_level_authorization"]
NEVER_TAKEN = {
    "GET /api/workflows/{workflow_id}/artifacts/{sha256}",
    "POST /api/webhooks/{webhook_id}/failed/{delivery_id}/again",
    "POST /api/workflows/{workflow_id}/migrate",
    # A step of that name has to be there, and to wait for just that.
    *(f"POST /api/workflows/{{workflow_id}}/steps/{{step}}/{each}" for each in ("answer", "approval", "retry", "skip")),
    "PUT /api/schedules/{name}",
    "POST /api/schedules/{name}/backfill",
    "DELETE /api/schedules/{name}/backfills/{backfill}",
    "GET /api/templates/{name}/versions/{version}",
    "PUT /api/templates/{name}/versions/{version}/deprecation",
    "DELETE /api/templates/{name}/versions/{version}/deprecation",
}
"""What no client comes to by guessing: test_{control,schedules_http,templates,webhooks,workflows}.py have it."""
EXCUSED = {
    # Whether a definition can run is more than a JSON Schema says: a refusal of what fits the schema is no fault.
    "/api/workflows": ["positive_data_acceptance"],
    "/api/workflows/{workflow_id}": SHARED,
    "/api/workflows/{workflow_id}/cancel": SHARED,
    "/api/workflows/{workflow_id}/events": SHARED,
    # Nor does it say what a cron expression, a time zone or a template of that name is.
    "/api/templates": ["positive_data_acceptance"],
    # A template may be called so, too: it is read and deleted there.
    "/api/templates/validate": ["positive_data_acceptance", "allow_header_conformance"],
    "/api/templates/{name}": SHARED,
    "/api/templates/{name}/versions/{version}": SHARED,
    "/api/templates/{name}/versions/{version}/deprecation": SHARED,
    "/api/schedules": ["positive_data_acceptance"],
    "/api/schedules/{name}": ["positive_data_acceptance", *SHARED],
    "/api/schedules/{name}/backfill": ["positive_data_acceptance", *SHARED],
    "/api/schedules/{name}/run": ["positive_data_acceptance", *SHARED],
    **{f"/api/schedules/{{name}}/{each}": SHARED for each in ("upcoming", "runs", "backfills", "pause", "resume")},
    "/api/schedules/{name}/backfills/{backfill}": SHARED,
    **{
        f"/api/workflows/{{workflow_id}}/{each}": SHARED
        for each in (
            "why",
            "definition",
            "states/{seq}",
            "export",
            "pause",
            "resume",
            "signals",
            "budget",
            "priority",
            "steps/{step}/answer",
            "steps/{step}/approval",
            "steps/{step}/retry",
            "steps/{step}/skip",
        )
    },
    # Nor whether a definition fits a workflow that runs, or inputs one that has run.
    "/api/workflows/{workflow_id}/rerun": ["positive_data_acceptance", *SHARED],
    "/api/workflows/{workflow_id}/migrate": ["positive_data_acceptance", *SHARED],
    "/api/limits/{name}": SHARED,
    # Where a webhook may go is more than the shape of its address.
    "/api/webhooks": ["positive_data_acceptance"],
    "/api/webhooks/{webhook_id}": ["positive_data_acceptance", *SHARED],
    **{f"/api/webhooks/{{webhook_id}}/{each}": SHARED for each in ("secret", "failed", "failed/{delivery_id}/again")},
    "/api/access/users/{subject}": SHARED,
    # Whether a condition holds is no matter of shape.
    "/api/secrets/{name}": [*SHARED, "positive_data_acceptance"],
    "/api/workflows/{workflow_id}/artifacts": SHARED,
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


@contextlib.contextmanager
def fuzzed_engine(folder: Path) -> Iterator[Fuzzed]:
    """An engine to which everybody signs in."""
    admin = make_admin(folder).stdout.strip()
    options = {"MAESTRO_ENGINE_AUTH": "on", "MAESTRO_ENGINE_SYNCHRONOUS": "NORMAL"}
    process = EngineProcess(folder, "--port", "0", **options)
    other = process.ask("/api/access/users", {"subject": "ben", "role": "admin"}, key=admin)["issued"]["secret"]
    keys = {"admin": admin, "ben": other}
    with contextlib.closing(sqlite3.connect(folder / "users.db")) as users:
        users.executescript(KEPT.format(ids=", ".join(f"'{key.split('_')[1]}'" for key in keys.values())))
    try:
        yield Fuzzed(process, keys)
    finally:
        process.kill()


class EngineFuzzing(ContractFuzzing):
    """Every check and every phase on some of the paths; MAESTRO_FUZZ=long tries many more examples."""

    paths: ClassVar[str]

    @pytest.fixture
    def fuzz_target(self, engine: Fuzzed) -> FuzzTarget:
        """The engine, and the two who call it."""
        users = {name: bearer(key) for name, key in engine.keys.items()}
        return FuzzTarget(DOCUMENT, engine.process.url, users=users, excused=EXCUSED, paths=self.paths)

    def test_every_answer_keeps_the_contract(self, fuzz_target: FuzzTarget, tmp_path: Path) -> None:
        """Nothing is found, and no operation was only ever refused: cancelling meets those that have ended, too."""
        super().test_every_answer_keeps_the_contract(fuzz_target, tmp_path)
        rates = json.loads((tmp_path / "report.json").read_text())["valid_rates"]
        reached = {
            name
            for name, phases in rates.items()
            if any(each["accepted"] or each["conflicts"] for each in phases.values())
        }
        missed = sorted(rates.keys() - reached - NEVER_TAKEN)
        assert not missed, missed

    def test_the_engine_outlives_it(self, engine: Fuzzed) -> None:
        """After all of that it is ready, and has written no trace of a fault."""
        assert engine.ask("/api/health/ready")["ready"] is True
        faults = [line for line in engine.process.lines if "request_failed" in line or "Traceback" in line]
        assert not faults, faults[:5]
