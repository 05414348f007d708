"""The main job: a workflow over a real repository, with a tool server that somebody else wrote, killed and resumed."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.processes import import_path

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = Path("examples/workflows/repository-report.yml")
FIRST_DOWNLOAD_S = 240.0
STEPS = {"root", "log", "branch", "folders", "largest", "lines", "port", "serve", "fetch", "stop", "report"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with three commits by two people; the workflow lies in it, as in ours."""
    root = tmp_path / "library"
    shutil.copytree(ROOT / WORKFLOW.parent, root / WORKFLOW.parent, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "README.md").write_text("# A library\n\nWith a line.\n", encoding="utf-8")
    (root / "src").mkdir()
    (root / "src" / "main.py").write_text("print('one')\nprint('two')\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "trunk")
    git(root, "add", ".")
    commit(root, "Ada", "Begin")
    (root / "src" / "größe | x.py").write_text("x = 1\n" * 500, encoding="utf-8")
    git(root, "add", ".")
    commit(root, "Ada", "Measure | all of it")
    (root / "src" / "main.py").write_text("print('three')\n", encoding="utf-8")
    git(root, "add", ".")
    commit(root, "Grace", "Say less\n\nA body that is not the subject.")
    return root


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(root), *words], check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull})


def commit(root: Path, author: str, message: str) -> None:
    who = ("-c", f"user.name={author}", "-c", f"user.email={author.lower()}@example.com")
    git(root, *who, "commit", "--quiet", "--message", message)


def command(data_dir: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "maestro_cli", "run", str(WORKFLOW), "--data-dir", str(data_dir), *more]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": import_path(), "PYTHONUTF8": "1"}


def run(repository: Path, data_dir: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data_dir, *more),
        cwd=repository,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=FIRST_DOWNLOAD_S,
        check=False,
    )


def final_state(output: str) -> dict[str, Any]:
    """The last line of `--json`."""
    final: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert final["type"] == "final"
    return final


def processes_of(folder: Path) -> dict[int, str]:
    """Live processes that work below a folder: in it, or with it in their words or variables."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            told = line + (process / "environ").read_bytes() + os.fsencode(os.readlink(process / "cwd"))
        except OSError:
            continue
        if os.fsencode(folder) in told and process.name != str(os.getpid()):
            found[int(process.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found


def has_ended(pid: int, *, within_s: float) -> bool:
    """Whether a process, which need not be a child, ends in time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], within_s)[0])
    finally:
        os.close(process)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """The data folder; in the end nothing that worked for it is alive."""
    yield tmp_path / "data"
    for pid, line in processes_of(tmp_path).items():
        assert has_ended(pid, within_s=15), f"left alive: {line}"


def test_the_report_tells_what_is_in_the_repository(repository: Path, data_dir: Path) -> None:
    """One line a step, the outputs, and a Markdown file with commits, languages, folders and sizes; exit 0."""
    done = run(repository, data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    settled = [line.split()[2] for line in lines if line.startswith("  ✓ done")]
    assert sorted(settled) == sorted(STEPS)
    assert any(line.startswith("  ↻ retrying") and " fetch " in line for line in lines), "its retry is really needed"
    assert any(line.startswith("  ✓ repository-report succeeded") for line in lines)
    assert "    commits  3" in lines
    report = Path(lines[-1].strip()).read_text(encoding="utf-8")
    assert report.startswith("# library\n")
    assert "branch trunk" in report
    assert "| Python | 5 |" in report
    assert "| src | 2 | 501 |" in report
    assert "| Ada | 2 |" in report
    assert "| Grace | 1 |" in report
    assert "| src/größe &#124; x.py | 3000 |" in report
    assert "Measure | all of it (Ada)" in report
    assert "A body that is not the subject" not in report
    assert "`README.md` answered 200 with 26 characters, in 1 request." in report


@pytest.mark.parametrize("until", ["folders", "fetch"])
def test_killed_in_the_middle_it_goes_on_and_repeats_nothing_that_was_finished(
    repository: Path, data_dir: Path, until: str
) -> None:
    """After SIGKILL, --resume ends well; every step that had succeeded has succeeded exactly once in the journal."""
    with subprocess.Popen(
        command(data_dir, "--json"), cwd=repository, env=environment(), stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        seen = []
        for line in killed.stdout:
            seen.append(json.loads(line))
            if seen[-1]["type"] == "step.succeeded" and seen[-1]["data"]["step"] == until:
                break
        os.kill(killed.pid, signal.SIGKILL)
    finished = {
        each["data"]["step"] for each in seen if each["type"] == "step.succeeded" and "item" not in each["data"]
    }
    resumed = run(repository, data_dir, "--json", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    events = [json.loads(line) for line in resumed.stdout.splitlines()[:-1]]
    assert events[: len(seen)] == seen
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    again = {each["data"]["step"] for each in events[len(seen) :] if each["type"] == "step.started"}
    assert not finished & again
    succeeded = [
        each["data"]["step"] for each in events if each["type"] == "step.succeeded" and "item" not in each["data"]
    ]
    assert sorted(succeeded) == sorted(STEPS)
    outputs = final_state(resumed.stdout)["state"]["outputs"]
    assert (outputs["commits"], outputs["report"]["media_type"]) == (3, "text/markdown")


def test_a_repository_without_a_commit_is_an_error_that_names_the_step(repository: Path, data_dir: Path) -> None:
    """Exit 1; the tool's own words are passed on, and no process stays."""
    shutil.rmtree(repository / ".git")
    git(repository, "init", "--quiet")
    done = run(repository, data_dir)
    assert done.returncode == 1
    assert "✗ repository-report failed" in done.stdout
    assert "step log: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
