"""Law: CI calls the scripts that a person calls, runs what a change can have broken, and holds few rights."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from repository import at, files_below, text_of

WORKFLOW = ".github/workflows/ci.yml"
AFFECTED = "build-support/bin/check-changed"
EVERYTHING = ".ci/run"
PUBLISH = "build-support/bin/publish"
AFFECTED_FLAGS = ("--changed-since=", "--changed-dependents=transitive")

_PINNED = re.compile(r"[\w.-]+/[\w./-]+@(v\d+|[0-9a-f]{40})")
_SCRIPT = re.compile(r"(?<![\w/.-])(?:build-support/bin/|\.ci/|\./)[\w-]+(?![\w/*-])")
_HASHED = re.compile(r"hashFiles\(([^)]*)\)")


def offences(root: Path) -> list[str]:
    """What is wrong with the workflows."""
    documents = {path: yaml.safe_load(text_of(path)) for path in files_below(root / ".github") if path.suffix == ".yml"}
    found = [offence for path, document in documents.items() for offence in _of_any(root, path, document)]
    workflow = documents.get(root / WORKFLOW)
    if not isinstance(workflow, dict):
        return [*found, f"{WORKFLOW}: missing; a pull request has to be checked"]
    return [*found, *(f"{WORKFLOW}: {offence}" for offence in _promises(root, workflow))]


def _steps(document: Any) -> Iterator[dict[str, Any]]:
    """The steps of a workflow or of a composite action."""
    if not isinstance(document, dict):
        return
    for holder in [*document.get("jobs", {}).values(), document.get("runs", {})]:
        yield from holder.get("steps", [])


def _of_any(root: Path, path: Path, document: Any) -> Iterator[str]:
    """What holds for each workflow and action."""
    for step in _steps(document):
        action, script = step.get("uses", ""), step.get("run", "")
        if action.startswith("./"):
            if not (root / action / "action.yml").is_file():
                yield f"{at(root, path)}: uses {action}, where there is no action.yml"
        elif action and not _PINNED.fullmatch(action):
            yield f"{at(root, path)}: uses {action}; pin it to a major version or a commit"
        if "${{" in script:
            yield f"{at(root, path)}: puts an expression into a script, where its value is run; hand it over by `env`"
        for name in _SCRIPT.findall(script):
            if not os.access(root / name, os.X_OK):
                yield f"{at(root, path)}: runs {name}, which is not there or can't be executed"
    for patterns in _HASHED.findall(text_of(path)):
        for pattern in re.findall(r"'([^']*)'", patterns):
            if not any(root.glob(pattern)):
                yield f"{at(root, path)}: a cache is keyed by {pattern}, which matches nothing"


def _promises(root: Path, workflow: dict[Any, Any]) -> Iterator[str]:
    """What the workflow of this repository promises."""
    jobs: dict[str, dict[str, Any]] = workflow.get("jobs", {})
    # YAML 1.1 reads the key `on` as true.
    on = workflow.get("on", workflow.get(True)) or {}
    push = on.get("push") or {}
    if "pull_request" not in on or push.get("branches") != ["main"] or not push.get("tags"):
        yield "does not run on pull requests, on main and on tags"
    if "pull_request_target" in on:
        yield "runs a stranger's change with the rights of this repository (pull_request_target)"
    rights = [workflow.get("permissions"), *(job["permissions"] for job in jobs.values() if "permissions" in job)]
    if any(right != {"contents": "read"} for right in rights):
        yield "holds more rights than reading, or leaves them to the repository's settings"
    if "group" not in (workflow.get("concurrency") or {}):
        yield "has no concurrency group"
    yield from (f"the job {name} has no timeout-minutes" for name, job in jobs.items() if "timeout-minutes" not in job)

    if not _calls(jobs, AFFECTED, "pull_request"):
        yield f"no job for pull requests calls {AFFECTED}"
    yield from (f"{AFFECTED} does not say {flag}" for flag in AFFECTED_FLAGS if flag not in text_of(root / AFFECTED))
    everything = _calls(jobs, EVERYTHING, "push")
    if not everything:
        yield f"no job for main calls {EVERYTHING}"
    publishing = _calls(jobs, PUBLISH, "tag")
    if not publishing:
        yield f"no job for tags calls {PUBLISH}"
    for name in publishing:
        needs = jobs[name].get("needs", [])
        if set(everything).isdisjoint([needs] if isinstance(needs, str) else needs):
            yield f"the job {name} publishes without waiting for the one that runs {EVERYTHING}"


def _calls(jobs: dict[str, dict[str, Any]], script: str, when: str) -> list[str]:
    """The jobs that call a script and name an event in their condition."""
    return [
        name
        for name, job in jobs.items()
        if when in job.get("if", "") and any(script in step.get("run", "") for step in job.get("steps", []))
    ]
