"""The step kind `shell`."""

import asyncio
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import BadArguments, ShellFailed, StepKind, builtin_step_kinds
from maestro_workflow_engine._kinds._shell import ShellKind
from maestro_workflow_engine.testing import make_call


async def shell(folder: Path, **arguments: Any) -> Any:
    """Run the kind once."""
    return await ShellKind(grace_s=0.2).run(make_call(folder, arguments))


async def gone(pid: int) -> bool:
    """Wait until a process has ended; False when it has not in time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = await asyncio.to_thread(select.select, [process], [], [], 10)
        return bool(ended)
    finally:
        os.close(process)


def pipe(path: Path) -> Path:
    """A named pipe: who reads it waits for what a command writes."""
    os.mkfifo(path)
    return path


async def number_from(pipe: Path) -> int:
    """The number that a command writes into a pipe."""
    return int(await asyncio.wait_for(asyncio.to_thread(pipe.read_text), 10))


async def test_a_text_goes_to_the_shell_and_a_list_does_not(tmp_path: Path) -> None:
    """Only the text is read by a shell."""
    assert (await shell(tmp_path, command="echo $((1 + 2)) | tr 3 4"))["stdout"] == "4"
    assert (await shell(tmp_path, command=["echo", "$HOME; exit 1", 7]))["stdout"] == "$HOME; exit 1 7"


@pytest.mark.parametrize("arguments", [{"command": ["true", "x" * 3_000_000]}, {"env": {"X": "x" * 3_000_000}}])
async def test_what_is_too_long_for_a_process_is_told_with_what_to_do(tmp_path: Path, arguments: Any) -> None:
    """It is not tried again: it would be as long the next time."""
    with pytest.raises(BadArguments, match="give large data by `stdin`"):
        await shell(tmp_path, **{"command": ["true"], **arguments})


async def test_the_result_tells_the_whole_story(tmp_path: Path) -> None:
    """Exit code, both outputs and sizes."""
    result = await shell(tmp_path, command="echo out; echo err >&2")
    assert result == {"exit_code": 0, "stdout": "out", "stdout_bytes": 4, "stderr": "err\n", "artifacts": {}}


@pytest.mark.parametrize(
    ("parse", "command", "value"),
    [
        ("json", "echo '{\"a\": [1]}'", {"a": [1]}),
        ("lines", "printf 'one\\ntwo\\n'", ["one", "two"]),
        ("lines", "true", []),
        ("text", "printf 'one\\n\\n'", "one\n"),
    ],
)
async def test_output_is_parsed_as_asked(tmp_path: Path, parse: str, command: str, value: Any) -> None:
    """As JSON, as lines, or as text without its last line break."""
    assert (await shell(tmp_path, command=command, parse=parse))["stdout"] == value


async def test_output_that_is_no_json_fails(tmp_path: Path) -> None:
    """The error shows how it begins."""
    with pytest.raises(ShellFailed, match=r"not JSON.*begins with 'oops"):
        await shell(tmp_path, command="echo oops", parse="json")


async def test_of_long_output_the_end_is_kept(tmp_path: Path) -> None:
    """The whole size is reported, and parsing a part is refused."""
    result = await shell(tmp_path, command="seq 100000", max_output_bytes=1000)
    assert result["stdout"].endswith("99999\n100000")
    assert len(result["stdout"]) == 999
    assert result["stdout_bytes"] == 588895
    with pytest.raises(BadArguments, match="588895 bytes"):
        await shell(tmp_path, command="seq 100000", max_output_bytes=1000, parse="lines")


async def test_a_failed_command_says_why(tmp_path: Path) -> None:
    """With its exit code or signal, and the end of what it said."""
    with pytest.raises(ShellFailed, match="exit code 3: something is wrong") as caught:
        await shell(tmp_path, command="echo something is wrong >&2; exit 3")
    assert caught.value.retryable
    with pytest.raises(ShellFailed, match="ended by signal 15"):
        await shell(tmp_path, command="kill -TERM $$")
    with pytest.raises(ShellFailed) as caught:
        await shell(tmp_path, command="seq 1000000 >&2; exit 1")
    assert len(str(caught.value)) < 2200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"command": ["no-such-program-here"]}, "no program 'no-such-program-here'"),
        ({"command": ["/etc/passwd"]}, "may not be executed"),
        ({"command": "true", "cwd": "nowhere"}, "no folder"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "true", "env": {"A=B": "x"}}, "name of a variable"),
        ({"command": []}, "/with/command"),
        ({}, "/with/command"),
        ({"command": "true", "parse": "yaml"}, "/with/parse: one of text, json, lines"),
    ],
)
async def test_commands_that_cannot_run_are_not_retried(tmp_path: Path, arguments: Any, said: str) -> None:
    """The error says which argument is wrong."""
    with pytest.raises(BadArguments, match=said) as caught:
        await shell(tmp_path, **arguments)
    assert not caught.value.retryable


async def test_the_environment_is_small_and_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is named is passed on; the engine adds what a script needs to know."""
    monkeypatch.setenv("SECRET_OF_THE_ENGINE", "x")
    monkeypatch.setenv("WANTED", "y")
    result = await shell(
        tmp_path, command="env", env={"MINE": "z", "N": 3}, pass_env=["WANTED", "NOT_SET"], parse="lines"
    )
    env = dict(line.partition("=")[::2] for line in result["stdout"])
    assert "SECRET_OF_THE_ENGINE" not in env
    assert (env["WANTED"], env["MINE"], env["N"]) == ("y", "z", "3")
    assert env["MAESTRO_WORK_DIR"] == str(tmp_path / "work")
    assert env["MAESTRO_WORKFLOW_ID"] == "workflow"
    assert env["MAESTRO_STEP_ID"] == "step"
    assert env["MAESTRO_IDEMPOTENCY_KEY"] == "workflow/step/1"
    assert env["PATH"].split(os.pathsep)[-1] == str(Path(sys.executable).parent)


async def test_stdin_takes_text_and_data(tmp_path: Path) -> None:
    """Data is written as JSON; without it the input is empty."""
    assert (await shell(tmp_path, command="cat", stdin="hello"))["stdout"] == "hello"
    assert (await shell(tmp_path, command="cat", stdin={"a": [1]}, parse="json"))["stdout"] == {"a": [1]}
    assert (await shell(tmp_path, command="cat"))["stdout"] == ""
    big = "x" * 300_000
    assert (await shell(tmp_path, command="cat", stdin=big))["stdout"] == big


async def test_files_become_artifacts(tmp_path: Path) -> None:
    """From the scratch folder first, else from the current folder."""
    (tmp_path / "sub").mkdir()
    result = await shell(
        tmp_path,
        command="echo '<p>' > $MAESTRO_WORK_DIR/r.html; echo data > here.txt",
        cwd="sub",
        artifacts={"report.html": "r.html", "data.txt": "here.txt"},
    )
    report = result["artifacts"]["report.html"]
    assert (report["media_type"], report["size_bytes"], report["name"]) == ("text/html", 4, "report.html")
    assert result["artifacts"]["data.txt"]["media_type"] == "text/plain"
    with pytest.raises(ShellFailed, match="'none' was not written"):
        await shell(tmp_path, command="true", artifacts={"none": "no-such-file"})


async def test_a_stopped_command_takes_its_children_with_it(tmp_path: Path) -> None:
    """The whole process group ends, also who ignores SIGTERM."""
    script = "trap '' TERM; (trap '' TERM; echo $BASHPID > child; sleep 1000) & echo $$ > parent; wait"
    pipes = [pipe(tmp_path / "child"), pipe(tmp_path / "parent")]
    running = asyncio.create_task(shell(tmp_path, command=["bash", "-c", script]))
    child, parent = await asyncio.gather(*(number_from(each) for each in pipes))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone(child)
    assert await gone(parent)


async def test_a_command_may_clean_up_when_it_is_stopped(tmp_path: Path) -> None:
    """SIGTERM comes first."""
    script = "trap 'echo clean > cleaned; exit 0' TERM; echo $$ > pid; while :; do sleep 0.01; done"
    pid = pipe(tmp_path / "pid")
    running = asyncio.create_task(shell(tmp_path, command=["bash", "-c", script]))
    await number_from(pid)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (tmp_path / "cleaned").read_text() == "clean\n"


async def test_nothing_is_left_of_a_command_that_ends(tmp_path: Path) -> None:
    """A child in the background ends with it, and does not hold up the result."""
    async with asyncio.timeout(10):
        result = await shell(tmp_path, command="sleep 1000 & echo $! > pid; echo done")
    assert result["stdout"] == "done"
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_a_child_that_left_the_group_does_not_hold_up_the_result(tmp_path: Path) -> None:
    """Its open pipe is left alone after a short while."""
    async with asyncio.timeout(10):
        result = await shell(
            tmp_path,
            command="setsid sh -c 'echo $$ > pid; exec sleep 1000' & while [ ! -s pid ]; do :; done; echo done",
        )
    assert result["stdout"] == "done"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_no_file_is_left_open(tmp_path: Path) -> None:
    """Neither after success nor after failure."""
    await shell(tmp_path, command="true")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await shell(tmp_path, command="true")
        with pytest.raises(ShellFailed):
            await shell(tmp_path, command="false")
        with pytest.raises(BadArguments):
            await shell(tmp_path, command=["no-such-program-here"])
    await asyncio.sleep(0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_checks_find_what_can_be_known_before_a_run() -> None:
    """Each problem with its place; what holds an expression is left to the run."""
    kind: StepKind = builtin_step_kinds()["shell"]
    problems = dict(kind.check({"comand": "x", "env": ["x"], "parse": "${{ inputs.p }}", "max_output_bytes": 0}, {}))
    assert set(problems) == {"", "/comand", "/env", "/max_output_bytes"}
    assert "did you mean 'command'" in problems["/comand"]
    assert list(kind.check({"command": "${{ inputs.c }}", "env": {"A": "${{ inputs.a }}"}}, {})) == []
