"""`maestro run` with steps that want to know something of people."""

import json
from pathlib import Path

import pytest
from libraries.maestro_cli.command import maestro
from libraries.maestro_cli.on_terminal import on_terminal

ASKS = """
name: asks
steps:
  before: {kind: shell, with: {command: "echo before"}}
  ok:
    kind: approval
    needs: [before]
    with:
      title: Ship it?
      description: Five parcels.
      form:
        type: object
        properties:
          carrier: {type: string, enum: [dhl, ups]}
          weight: {type: number, minimum: 1}
          fragile: {type: boolean, default: false}
          note: {type: string}
        required: [carrier, weight]
  ship:
    kind: shell
    needs: [ok]
    with: {command: "echo ${{ steps.ok.output.data.carrier }} by ${{ steps.ok.output.by }}"}
outputs: {said: "${{ steps.ship.output.stdout }}", data: "${{ steps.ok.output.data }}"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "asks.yml").write_text(ASKS)
    return tmp_path


def test_an_approval_is_asked_for_with_its_form(folder: Path) -> None:
    """What does not fit is asked for again; the answer goes into the workflow with the name of the person."""
    with on_terminal(
        "run", "asks.yml", "--data-dir", "data", cwd=folder, USER="anna", LOGNAME="anna", NO_COLOR="1"
    ) as run:
        asked = run.until("Approve? [y]es, [n]o, [l]ater: ")
        assert "? ok: Ship it?" in asked
        assert "Five parcels." in asked
        run.type("y")
        run.until("carrier (dhl | ups): ")
        run.type("fedex")
        run.until("one of dhl, ups was expected")
        run.type("UPS")
        run.until("weight (a number from 1): ")
        run.type("0")
        run.until("fragile (y or n, empty: n): ")
        run.type("")
        run.until("note (may be empty): ")
        run.type("")
        run.until("weight: ")  # the engine says what is wrong, and all is asked again
        for answer in ("y", "ups", "2.5", "y", "by \x1bnoon"):
            run.until(": ")
            run.type(answer)
        assert run.ended() == 0
        assert "ups by anna" in run.written
        assert '"fragile": true' in run.written
        assert run.written.count("✓ done      ok") == 1


def test_no_rejects_with_a_reason(folder: Path) -> None:
    """The step fails with the words of the person; exit 1."""
    with on_terminal("run", "asks.yml", "--data-dir", "data", cwd=folder) as run:
        run.until("[l]ater: ")
        run.type("maybe")
        run.until("[l]ater: ")
        run.type("n")
        run.until("Why (may be empty): ")
        run.type("too early")
        assert run.ended() == 1
        assert "too early" in run.written


@pytest.mark.parametrize("key", [b"l\n", b"\x04"])
def test_later_leaves_it_for_another_time(folder: Path, key: bytes) -> None:
    """Exit 4 with what it waits for and how to go on; --resume asks again and repeats nothing."""
    with on_terminal("run", "asks.yml", "--data-dir", "data", cwd=folder) as run:
        run.until("[l]ater: ")
        run.press(key)
        run.until("maestro run asks.yml --resume --data-dir data")
        assert run.ended() == 4
    with on_terminal("run", "asks.yml", "--data-dir", "data", "--resume", cwd=folder) as run:
        said = run.until("[l]ater: ")
        assert "Going on after 1 of 3 steps" in said
        for answer in ("y", "dhl", "3", "", ""):
            run.type(answer)
        assert run.ended() == 0


def test_ctrl_c_at_the_question_ends_the_run(folder: Path) -> None:
    """Exit 130, and the hint how to go on."""
    with on_terminal("run", "asks.yml", "--data-dir", "data", cwd=folder) as run:
        run.until("[l]ater: ")
        run.process.send_signal(2)
        run.until("--resume")
        assert run.ended() == 130


def test_without_a_terminal_it_says_what_it_waits_for(folder: Path) -> None:
    """Nobody can answer: exit 4 at once, and nothing is lost; with --json the remark goes to stderr."""
    done = maestro("run", "asks.yml", "--data-dir", "data", cwd=folder)
    assert done.returncode == 4
    assert "ok waits on approval Ship it?" in done.stdout
    assert "maestro run asks.yml --resume --data-dir data" in done.stdout
    done = maestro("run", "asks.yml", "--data-dir", "data", "--resume", "--json", cwd=folder)
    assert done.returncode == 4
    assert "ok waits on approval Ship it?" in done.stderr
    assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines())


def test_what_runs_beside_a_question_ends_first(folder: Path) -> None:
    """A run that waits for somebody is left only when nothing else of it runs."""
    (folder / "both.yml").write_text(
        "name: both\nsteps:\n"
        "  go: {kind: signal, with: {name: go}}\n"
        "  slow: {kind: shell, with: {command: 'sleep 1; echo done > slow'}}\n"
    )
    done = maestro("run", "both.yml", "--data-dir", "data", cwd=folder)
    assert done.returncode == 4
    assert "go waits on signal go" in done.stdout
    assert (folder / "slow").exists()


def test_a_workflow_with_a_time_limit_is_not_left(folder: Path) -> None:
    """Its time will come, and ends it: exit 1 without anybody's answer."""
    (folder / "limited.yml").write_text("name: limited\ntimeout_s: 1\nsteps:\n  go: {kind: signal, with: {name: go}}\n")
    done = maestro("run", "limited.yml", "--data-dir", "data", cwd=folder)
    assert done.returncode == 1
    assert "workflow.timed-out" in done.stdout


def test_a_deadline_is_faster_than_the_person(folder: Path) -> None:
    """The question goes away, and the workflow goes on without an answer."""
    (folder / "late.yml").write_text(
        "name: late\nsteps:\n" "  ok: {kind: approval, with: {title: Quick, deadline_s: 0.5, on_deadline: approve}}\n"
    )
    with on_terminal("run", "late.yml", "--data-dir", "data", cwd=folder) as run:
        run.until("[l]ater: ")
        assert run.ended() == 0
        assert "late succeeded" in run.written


def test_a_child_may_ask_too(folder: Path) -> None:
    """The approval of a workflow within the workflow is asked for at the same terminal."""
    (folder / "parent.yml").write_text(
        "name: parent\nsteps:\n"
        "  child:\n    kind: workflow\n    body:\n      steps:\n"
        "        ok: {kind: approval, with: {title: Inside}}\n"
    )
    with on_terminal("run", "parent.yml", "--data-dir", "data", cwd=folder) as run:
        run.until("ok: Inside")
        run.until("[l]ater: ")
        run.type("yes")
        assert run.ended() == 0
    done = maestro("run", "parent.yml", "--data-dir", "other", cwd=folder)
    assert done.returncode == 4
    assert "ok waits on approval Inside" in done.stdout


def test_secrets_come_from_the_environment(folder: Path) -> None:
    """`secrets.NAME` is MAESTRO_SECRET_NAME; what is printed and stored does not hold it."""
    (folder / "secret.yml").write_text(
        "name: secret\nsteps:\n"
        "  use: {kind: shell, with: {command: 'echo \"$T\" | tr a-z A-Z; echo $T', env: {T: '${{ secrets.TOKEN }}'}}}\n"
    )
    done = maestro("run", "secret.yml", "--data-dir", "data", "--json", cwd=folder, MAESTRO_SECRET_TOKEN="sesame-open")
    assert done.returncode == 0, done.stdout
    assert "SESAME-OPEN" in done.stdout
    assert "sesame-open" not in done.stdout + done.stderr
    done = maestro("run", "secret.yml", "--data-dir", "data", cwd=folder)
    assert done.returncode == 1
    assert "MAESTRO_SECRET_TOKEN" in done.stdout


def test_later_phases_are_shown_when_they_begin(folder: Path) -> None:
    """A step of `on_failure` or `finally` has a line once it has run, and none before."""
    (folder / "phases.yml").write_text(
        "name: phases\nsteps:\n  bad: {kind: shell, with: {command: 'exit 3'}}\n"
        "on_failure:\n  tell: {kind: shell, with: {command: 'true'}}\n"
        "finally:\n  clean: {kind: shell, with: {command: 'true'}}\n"
    )
    done = maestro("run", "phases.yml", "--data-dir", "data", cwd=folder)
    assert done.returncode == 1
    order = [line.split()[2] for line in done.stdout.splitlines() if line.startswith(("  ✗ failed", "  ✓ done"))]
    assert order == ["bad", "tell", "clean"]
