"""The contract against a running service: Schemathesis with every check and every phase, bounded and repeatable.

    class TestFuzzing(ContractFuzzing):
        @pytest.fixture
        def fuzz_target(self, service: Service) -> FuzzTarget:
            return FuzzTarget(Path("contracts/service.openapi.json"), service.url)

MAESTRO_FUZZ=long in the environment tries many more examples, with another seed each time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit import fuzzing_client

PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class FuzzTarget:
    """A service that runs, and what is known about it.

    `users` holds the headers of each caller by name; with two or more, no one may get what another one made.
    `excused` names checks that cannot hold at a path, since what it takes is more than a JSON Schema can say.
    """

    document: Path
    base_url: str
    users: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    excused: Mapping[str, Collection[str]] = field(default_factory=dict)
    paths: str | None = None
    """A regular expression: only the operations at paths that it is found in are tried; None: all."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How much is tried: `max_examples` for each operation and phase, within `max_time_s` altogether."""

    max_examples: int
    max_time_s: float
    deterministic: bool


SHORT = Profile(max_examples=12, max_time_s=150, deterministic=True)
LONG = Profile(max_examples=400, max_time_s=3600, deterministic=False)


def chosen_profile(environment: Mapping[str, str] | None = None) -> Profile:
    """The bounded profile, or the long one where MAESTRO_FUZZ=long asks for it."""
    return LONG if (os.environ if environment is None else environment).get("MAESTRO_FUZZ") == "long" else SHORT


def fuzz(target: FuzzTarget, folder: Path, profile: Profile = SHORT) -> dict[str, Any]:
    """Try the service; the report of what was tried. Raises AssertionError that holds every finding, to be repeated."""
    report = folder / "report.json"
    (folder / "schemathesis.toml").write_text(_configuration(target, folder, profile, report), encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "--no-color", "run"]
    chosen = [] if target.paths is None else ["--include-path-regex", target.paths]
    done = subprocess.run(
        [*command, *chosen, str(target.document.resolve())],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=profile.max_time_s,
        check=False,
    )
    assert done.returncode == 0, f"what Schemathesis found:\n{done.stdout}\n{done.stderr}"
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


class ContractFuzzing:
    """A suite of one test; a subclass gives the fixture `fuzz_target`."""

    def test_every_answer_keeps_the_contract(self, fuzz_target: FuzzTarget, tmp_path: Path) -> None:
        """Whatever is sent: no fault, only documented answers, no way past the sign-in or to the things of others."""
        fuzz(fuzz_target, tmp_path, chosen_profile())


def _configuration(target: FuzzTarget, folder: Path, profile: Profile, report: Path) -> str:
    """The settings of Schemathesis as TOML; a JSON text, list or number is one in TOML too."""
    lines = [
        f"base-url = {json.dumps(target.base_url)}",
        "workers = 1",
        "request-timeout = 20.0",
        "continue-on-failure = true",
        "suppress-health-check = ['all']",
        "warnings = false",
        "reports.json.enabled = true",
        f"reports.json.path = {json.dumps(str(report))}",
        f"generation.max-examples = {profile.max_examples}",
        f"generation.deterministic = {json.dumps(profile.deterministic)}",
        "generation.mode = 'all'",
        "generation.database = 'none'",
        "checks.enabled = true",
        # 428 is what RFC 6585 has for a header that a condition needs; Schemathesis does not count on it.
        "checks.missing_required_header.expected-statuses = [400, 401, 403, 406, 415, 422, 428]",
        f"hooks = {json.dumps(fuzzing_client.__name__)}",
        *(f"phases.{phase}.enabled = true" for phase in PHASES),
    ]
    if target.users:
        people = folder / "users.json"
        people.write_text(json.dumps({"auth": [_user(name, headers) for name, headers in target.users.items()]}))
        lines.append(f"auth.wfc.path = {json.dumps(str(people))}")
    if len(target.users) > 1:
        lines.append(f"auth.wfc.peers = {json.dumps(list(target.users))}")
    for path, checks in target.excused.items():
        lines += ["[[operations]]", f"include-path = {json.dumps(path)}"]
        lines += [f"checks.{check}.enabled = false" for check in checks]
    return "\n".join(lines) + "\n"


def _user(name: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "fixedHeaders": [{"name": key, "value": value} for key, value in headers.items()]}
