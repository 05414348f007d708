"""The law about CI bites: each wrong workflow differs from the sound one in one thing, and one offence names it."""

from pathlib import Path

import pytest
from law_ci import offences
from sound_tree import broken

CI = ".github/workflows/ci.yml"
BOOTSTRAP = ".github/actions/bootstrap/action.yml"

WORKFLOW = """\
on:
  pull_request:
  push:
    branches: [main]
    tags: ["*-v[0-9]*"]
permissions:
  contents: read
concurrency:
  group: ci
jobs:
  changed:
    if: github.event_name == 'pull_request'
    timeout-minutes: 1
    steps:
      - uses: actions/checkout@v6
      - uses: ./.github/actions/bootstrap
      - run: build-support/bin/check-changed "$BASE"
  everything:
    if: github.event_name == 'push'
    timeout-minutes: 1
    steps:
      - run: .ci/run
  publish:
    if: github.ref_type == 'tag'
    needs: everything
    timeout-minutes: 1
    steps:
      - run: build-support/bin/publish "$TAG"
"""
ACTION = """\
runs:
  using: composite
  steps:
    - uses: actions/cache@0123456789abcdef0123456789abcdef01234567
      with:
        key: pants-${{ hashFiles('3rdparty/python/*.lock') }}
"""
SOUND: dict[str, str | None] = {
    CI: WORKFLOW,
    BOOTSTRAP: ACTION,
    "build-support/bin/check-changed": "./pants --changed-since=x --changed-dependents=transitive test\n",
    "build-support/bin/publish": "",
}


def offences_with(tmp_path: Path, changes: dict[str, str | None]) -> list[str]:
    def with_executable_scripts(root: Path) -> list[str]:
        for script in [root / ".ci/run", *(root / "build-support/bin").glob("*")]:
            script.chmod(0o755)
        return offences(root)

    return broken(tmp_path, with_executable_scripts, {**SOUND, **changes})


def test_a_sound_workflow_has_no_offence(tmp_path: Path) -> None:
    assert offences_with(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("sound", "wrong", "expected"),
    [
        ("  pull_request:\n", "", "does not run on pull requests"),
        ("    branches: [main]\n", "", "does not run on pull requests, on main"),
        ("  pull_request:\n", "  pull_request:\n  pull_request_target:\n", "a stranger's change"),
        ("  contents: read\n", "  contents: write\n", "more rights"),
        ("permissions:\n  contents: read\n", "", "more rights"),
        ("  everything:\n", "  everything:\n    permissions: {id-token: write}\n", "more rights"),
        ("concurrency:\n  group: ci\n", "", "no concurrency group"),
        ("    timeout-minutes: 1\n", "", "the job changed has no timeout-minutes"),
        ("check-changed", "publish", "no job for pull requests calls build-support/bin/check-changed"),
        ("- run: .ci/run", "- run: ./pants --version", "no job for main calls .ci/run"),
        ('publish "$TAG"', "check-changed", "no job for tags calls build-support/bin/publish"),
        ("    needs: everything\n", "", "the job publish publishes without waiting"),
        ("checkout@v6", "checkout@main", "uses actions/checkout@main; pin it"),
        ("./.github/actions/bootstrap", "./.github/actions/other", "where there is no action.yml"),
        ('"$TAG"', "${{ github.ref_name }}", "puts an expression into a script"),
        (
            "      - run: .ci/run\n",
            "      - run: .ci/run\n      - run: build-support/bin/gone\n",
            "build-support/bin/gone, which",
        ),
    ],
)
def test_a_broken_promise_is_found(sound: str, wrong: str, expected: str, tmp_path: Path) -> None:
    assert sound in WORKFLOW
    assert expected in "\n".join(offences_with(tmp_path, {CI: WORKFLOW.replace(sound, wrong, 1)}))


def test_a_workflow_that_is_not_there_is_found(tmp_path: Path) -> None:
    (offence,) = offences_with(tmp_path, {CI: None, BOOTSTRAP: None})
    assert offence.startswith(f"{CI}: missing")


def test_a_cache_keyed_by_nothing_is_found(tmp_path: Path) -> None:
    (offence,) = offences_with(tmp_path, {BOOTSTRAP: ACTION.replace("*.lock", "*.pin")})
    assert offence.startswith(f"{BOOTSTRAP}: a cache is keyed by 3rdparty/python/*.pin")


def test_a_script_that_forgets_dependents_is_found(tmp_path: Path) -> None:
    (offence,) = offences_with(tmp_path, {"build-support/bin/check-changed": "./pants --changed-since=x test\n"})
    assert "does not say --changed-dependents=transitive" in offence
