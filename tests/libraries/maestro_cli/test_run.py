"""`maestro run`: what it prints, how it ends, and how it goes on after a crash."""

import asyncio
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from libraries.maestro_cli.command import begin, maestro

from kit.processes import Signal
from maestro_workflow_engine import EmbeddedBackend, builtin_step_kinds

SAMPLE = """
name: sample
inputs:
  who: {type: string, default: world}
  n: {type: integer, default: 3}
steps:
  greet: {kind: shell, with: {command: [echo, "hello ${{ inputs.who }}"]}}
  each: {kind: shell, with: {command: "echo ${{ item }}"}, map: {items: "${{ range(inputs.n) }}"}}
  never: {kind: sleep, with: {seconds: 60}, when: "${{ inputs.n > 100 }}"}
  keep:
    kind: shell
    needs: [each, never]
    with: {command: 'echo "# Report" > "$MAESTRO_WORK_DIR/report.md"', artifacts: {report.md: report.md}}
outputs:
  greeting: ${{ steps.greet.output.stdout }}
  report: ${{ steps.keep.output.artifacts['report.md'] }}
"""

# Each step writes its name beside the file; `second` says that it is there, and waits for the file `go`.
STOPS = """
name: stops
steps:
  first: {kind: shell, with: {command: "echo first >> log"}}
  second:
    kind: shell
    needs: [first]
    with: {command: "echo second >> log; echo > waiting; until test -f go; do sleep 0.05; done"}
  third: {kind: shell, needs: [second], with: {command: "echo third >> log"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sample.yml").write_text(SAMPLE)
    (tmp_path / "stops.yml").write_text(STOPS)
    return tmp_path


@pytest.fixture
def waiting(folder: Path) -> Iterator[Signal]:
    """Told by the step `second` when it has begun."""
    signal_of_second = Signal(folder / "waiting")
    yield signal_of_second
    signal_of_second.close()


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = maestro("run", *arguments, "--data-dir", folder / "data", cwd=folder)
    return done.returncode, done.stdout, done.stderr


def interrupt(process: subprocess.Popen[str]) -> IO[str]:
    """Press Ctrl-C, wait until the command says that it stops, and give what it prints from then on."""
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    for line in process.stdout:
        if "Stopping" in line:
            break
    return process.stdout


def test_a_run_tells_one_line_a_step_then_the_result(folder: Path) -> None:
    """Plain lines where there is no terminal, the outputs, and where the artifact lies; exit 0."""
    status, output, errors = run(folder, "sample.yml", "--input", "who=you")
    assert (status, errors) == (0, "")
    assert "\x1b" not in output
    lines = output.splitlines()
    words = Counter(line.split()[1] for line in lines if line.startswith("  ") and line[2] in "✓–")
    assert words == {"done": 3, "skipped": 1, "sample": 1}
    (each,) = [line for line in lines if " each " in line]
    assert each.endswith("3/3")
    assert "    greeting  hello you" in lines
    path = Path(lines[-1].strip())
    assert path.is_absolute()
    assert path.read_text() == "# Report\n"


def test_a_file_whose_name_is_no_text_runs_like_any_other(folder: Path) -> None:
    """And whoever lists the workflows of the folder can write down what it is labelled with."""
    name = os.fsdecode(b"caf\xe9.yml")
    (folder / name).write_text(SAMPLE)
    status, output, errors = run(folder, name, "--json")
    assert status == 0, errors
    assert json.loads(output.splitlines()[-1])["state"]["labels"] == {"file": "caf\ufffd.yml"}


def test_json_is_every_event_then_the_final_state(folder: Path) -> None:
    """One JSON a line; the last one says how it ended and where artifacts lie; nothing else is on stdout."""
    status, output, _ = run(folder, "sample.yml", "--json", "--input", "n=2")
    *events, final = [json.loads(line) for line in output.splitlines()]
    assert status == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "workflow.succeeded"
    assert (final["type"], final["state"]["status"], final["state"]["inputs"]["n"]) == ("final", "succeeded", 2)
    (path,) = final["artifacts"].values()
    assert Path(path).read_text() == "# Report\n"


def test_a_failed_step_is_named_with_its_error(folder: Path) -> None:
    """Exit 1; retries have a line each, for they explain the wait."""
    (folder / "fails.yml").write_text(
        "name: fails\nsteps:\n"
        "  bad:\n    kind: shell\n    with: {command: 'echo oh no >&2; exit 3'}\n"
        "    retry: {max_attempts: 2, initial_delay_s: 0}\n"
        "  after: {kind: shell, needs: [bad], with: {command: 'true'}}\n"
    )
    status, output, _ = run(folder, "fails.yml")
    assert status == 1
    assert "attempt 2 of 2" in output
    assert "✗ fails failed" in output
    assert "step bad: workflow.shell-failed" in output
    assert "exit code 3: oh no" in output
    assert "2 steps · 1 not begun" in output
    assert "Traceback" not in output


def test_a_wrong_definition_is_shown_in_its_line(folder: Path) -> None:
    """Exit 2; each problem has file, line and column, and a caret below the place."""
    (folder / "wrong.yml").write_text("name: wrong\nsteps:\n  a: {kind: nope}\n  b: {kind: sleep, needs: [zz]}\n")
    status, output, errors = run(folder, "wrong.yml")
    assert (status, output) == (2, "")
    assert "wrong.yml has 3 problems" in errors
    lines = errors.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("wrong.yml:3:13: "))
    assert lines[place + 1] == "     3 │   a: {kind: nope}"
    assert lines[place + 2].index("^") == lines[place + 1].index("nope")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.yml"], "maestro: nowhere.yml: the file cannot be read"),
        (["sample.yml", "--input", "n=many"], "is not JSON"),
        (["sample.yml", "--input", "n=1.5"], "/n"),
        (["sample.yml", "--input", "m=1"], "no such input"),
        (["sample.yml", "--resume"], "no unfinished workflow named sample"),
        (["sample.yml", "--resume", "--input", "n=1"], "leave --input out"),
        (["sample.yml", "--max-parallel", "0"], "1 or more"),
        (["sample.yml", "--max-parallel", "x"], "a whole number, 1 or more"),
        (["."], "read"),
    ],
)
def test_wrong_use_is_told_in_a_line_and_exits_with_2(folder: Path, arguments: list[str], complaint: str) -> None:
    """No trace, nothing started."""
    status, output, errors = run(folder, *arguments)
    assert (status, output) == (2, "")
    assert complaint in errors
    assert "Traceback" not in errors


def test_a_killed_run_goes_on_and_repeats_only_what_was_in_flight(folder: Path, waiting: Signal) -> None:
    """After SIGKILL, --resume runs `second` again and `first` not; the seq numbers have no gap."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as killed:
        waiting.wait()
        killed.kill()
    (folder / "go").touch()
    status, output, _ = run(folder, "stops.yml", "--resume")
    assert status == 0
    assert "Going on after 1 of 3 steps" in output
    assert " first " not in output
    assert (folder / "log").read_text().split() == ["first", "second", "second", "third"]
    assert run(folder, "stops.yml", "--resume")[0] == 2


def test_a_resumed_run_stays_on_its_own_definition_and_says_so(folder: Path, waiting: Signal) -> None:
    """A file that was changed meanwhile does not change what runs."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as killed:
        waiting.wait()
        killed.kill()
    (folder / "go").touch()
    (folder / "stops.yml").write_text(STOPS.replace("echo third", "echo changed"))
    status, output, _ = run(folder, "stops.yml", "--resume")
    assert status == 0
    assert "The file has changed since" in output
    assert (folder / "log").read_text().split()[-1] == "third"


def test_a_new_run_leaves_unfinished_ones_alone_and_mentions_its_own(folder: Path, waiting: Signal) -> None:
    """Only what was asked for runs in this process; an earlier run of the same name is pointed out."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as killed:
        waiting.wait()
        killed.kill()
    status, output, _ = run(folder, "sample.yml")
    assert status == 0
    assert "earlier run" not in output
    (folder / "go").touch()
    status, output, _ = run(folder, "stops.yml")
    assert status == 0
    assert "An earlier run of it has not ended" in output
    assert (folder / "log").read_text().split() == ["first", "second", "first", "second", "third"]
    assert run(folder, "stops.yml", "--resume")[0] == 0


def test_ctrl_c_once_lets_the_running_step_end_and_says_how_to_go_on(folder: Path, waiting: Signal) -> None:
    """Exit 130; the step that ran is kept, and --resume begins after it."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as process:
        waiting.wait()
        printed = interrupt(process)
        (folder / "go").touch()
        rest = printed.read()
        assert process.wait(30) == 130
    assert "maestro run stops.yml --resume" in rest
    status, output, _ = run(folder, "stops.yml", "--resume")
    assert (status, "Going on after 2 of 3 steps" in output) == (0, True)
    assert (folder / "log").read_text().split() == ["first", "second", "third"]


def test_ctrl_c_during_the_last_step_tells_how_it_ended(folder: Path, waiting: Signal) -> None:
    """When the step that may still end was the last one, the workflow has ended: exit 0, and nothing to resume."""
    (folder / "stops.yml").write_text(STOPS.partition("  third:")[0])
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as process:
        waiting.wait()
        printed = interrupt(process)
        (folder / "go").touch()
        rest = printed.read()
        status = process.wait(30)
    if "nothing left to do" in rest:
        assert (status, run(folder, "stops.yml", "--resume")[0]) == (0, 2)
    else:
        assert (status, run(folder, "stops.yml", "--resume")[0]) == (130, 0)
    assert (folder / "log").read_text().split() == ["first", "second"]


def test_ctrl_c_twice_ends_at_once(folder: Path, waiting: Signal) -> None:
    """The second one does not wait for the step; it is repeated on --resume."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as process:
        waiting.wait()
        printed = interrupt(process)
        process.send_signal(signal.SIGINT)
        printed.read()
        assert process.wait(8) == 130
    (folder / "go").touch()
    assert run(folder, "stops.yml", "--resume")[0] == 0


def test_a_folder_in_use_names_who_uses_it(folder: Path, waiting: Signal) -> None:
    """Exit 1 with the process that holds it, and what to do."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as holder:
        waiting.wait()
        status, _, errors = run(folder, "sample.yml")
        (folder / "go").touch()
        holder.communicate(timeout=30)
    assert status == 1
    assert f"process {holder.pid}" in errors
    assert "data folder" in errors


def test_a_pipe_that_is_closed_early_ends_the_run_without_a_trace(folder: Path, waiting: Signal) -> None:
    """`maestro run … | head -1` ends without a trace."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        waiting.wait()
        process.stdout.close()
        (folder / "go").touch()
        assert process.stderr is not None
        errors = process.stderr.read()
        process.wait(30)
    assert "Traceback" not in errors


def test_a_full_disk_is_told_once_with_the_way_on(folder: Path) -> None:
    """When the journal cannot grow: one message, exit 1, and the command that goes on; which then does."""
    (folder / "big.yml").write_text(
        "name: big\nsteps:\n  a:\n    kind: shell\n    with: {command: 'head -c 2000 /dev/zero | tr \\\\0 x'}\n"
        "    map: {items: '${{ range(400) }}'}\n"
    )
    done = maestro("run", "big.yml", "--data-dir", "data", cwd=folder, limit_file_bytes=300_000)
    assert done.returncode == 1
    assert done.stderr.count("cannot be used") == 1
    assert "maestro run big.yml --resume --data-dir data" in done.stderr
    done = maestro("run", "big.yml", "--data-dir", "data", "--resume", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_paused_run_is_found_and_goes_on(folder: Path, waiting: Signal) -> None:
    """--resume ends the pause that somebody has asked for at an engine."""
    with begin("run", "stops.yml", "--data-dir", folder / "data", cwd=folder) as killed:
        waiting.wait()
        killed.kill()
    (folder / "go").touch()
    asyncio.run(_pause_all(folder / "data"))
    status, output, _ = run(folder, "stops.yml", "--resume")
    assert status == 0, output
    assert (folder / "log").read_text().split()[-1] == "third"


async def _pause_all(data_dir: Path) -> None:
    async with EmbeddedBackend(data_dir, kinds=builtin_step_kinds(), resume="none") as backend:
        for workflow_id in await backend.unfinished():
            await backend.take_up(workflow_id)
            await backend.pause(workflow_id)
