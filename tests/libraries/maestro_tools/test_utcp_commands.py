"""UTCP: tools that are commands."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from maestro_tools import InvalidArguments, InvalidSource, ResultTooLarge, ToolCatalogue, ToolFailed, ToolTimedOut

ANYTHING = {"type": "object"}


def cli(name: str, *commands: str, **more: Any) -> dict[str, Any]:
    steps = [{"command": command} for command in commands]
    template = {"call_template_type": "cli", "commands": steps, **more}
    return {"name": name, "inputs": ANYTHING, "tool_call_template": template}


def manual(*tools: dict[str, Any], base_dir: Path | None = None, **config: Any) -> ToolCatalogue:
    return ToolCatalogue({"u": {"utcp": {"manual": {"tools": list(tools)}, **config}}}, base_dir)


async def test_output_is_the_result() -> None:
    """JSON where it is an object or a list, text otherwise; stderr is no part of it."""
    async with manual(cli("json", "echo noise >&2; echo '{\"a\": [1, 2]}'"), cli("text", "echo '{not json'")) as tools:
        assert (await tools.call("u", "json")).value == {"a": [1, 2]}
        assert (await tools.call("u", "text")).value == "{not json"


async def test_later_commands_see_the_output_of_earlier_ones() -> None:
    """As `$CMD_0_OUTPUT`; and only what is asked for is shown."""
    async with manual(
        cli("both", "printf one", 'printf "%s-two" "$CMD_0_OUTPUT"'),
        cli(
            "shown",
            commands=[{"command": "echo one", "append_to_final_output": True}, {"command": "echo two # three"}],
        ),
    ) as tools:
        assert (await tools.call("u", "both")).value == "one-two"
        assert (await tools.call("u", "shown")).value == "one\ntwo"


async def test_command_that_fails_is_a_failure() -> None:
    """With its code and its stderr, or its stdout where it wrote nothing else; later commands do not run."""
    async with manual(
        cli("loud", "echo why >&2; exit 4"),
        cli("quiet", "echo only this; false"),
        cli("first", "false", "echo never"),
        cli("syntax", "echo ("),
    ) as tools:
        for name, message in [
            ("loud", "u.loud failed: it exited with code 4; stderr: why"),
            ("quiet", "u.quiet failed: it exited with code 1; stdout: only this"),
            ("first", "u.first failed: it exited with code 1"),
        ]:
            with pytest.raises(ToolFailed) as caught:
                await tools.call("u", name)
            assert str(caught.value) == message
            assert not caught.value.retryable
        with pytest.raises(ToolFailed, match="syntax error"):
            await tools.call("u", "syntax")


async def test_argument_is_never_code(tmp_path: Path) -> None:
    """In any quotes, and however it tries."""
    hostile = "\"; touch injected; ' $(touch injected) `touch injected` \\"
    arguments = {"a": hostile}
    commands = ["printf %s UTCP_ARG_a_UTCP_END", 'printf %s "UTCP_ARG_a_UTCP_END"', "printf %s 'UTCP_ARG_a_UTCP_END'"]
    async with manual(*(cli(f"t{i}", command) for i, command in enumerate(commands)), base_dir=tmp_path) as tools:
        for index in range(len(commands)):
            assert (await tools.call("u", f"t{index}", arguments)).value == hostile
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", ["x" * 200_000, "a\0b"], ids=["large", "nul"])
async def test_argument_that_no_command_can_take_is_refused(value: str) -> None:
    """Clearly, and before anything starts."""
    async with manual(cli("echo", "printf %s UTCP_ARG_a_UTCP_END")) as tools:
        with pytest.raises(InvalidArguments, match=r"'a' of u\.echo cannot be given to a command"):
            await tools.call("u", "echo", {"a": value})
        with pytest.raises(InvalidArguments, match="needs the argument 'a'"):
            await tools.call("u", "echo")


async def test_command_sees_only_what_was_named_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment is the safe default, `pass_env` and its own; a manual alone cannot take more."""
    monkeypatch.setenv("CLOUD_SECRET", "s")
    monkeypatch.setenv("NAMED", "n")
    env_vars = {"OWN": "${KEY}"}
    take = cli("take", "env", inherit_env_vars=["PATH", "NAMED"], env_vars=env_vars)
    async with manual(cli("env", "env", env_vars=env_vars), take, variables={"KEY": "k"}, pass_env=["NAMED"]) as tools:
        for name in ("env", "take"):
            seen = dict(line.split("=", 1) for line in (await tools.call("u", name)).value.splitlines())
            assert (seen["OWN"], seen["NAMED"]) == ("k", "n")
            assert "CLOUD_SECRET" not in seen
            assert ("HOME" in seen) is (name == "env")
    async with manual(cli("steal", "env", inherit_env_vars=["CLOUD_SECRET"])) as tools:
        with pytest.raises(
            InvalidSource, match="inherit_env_vars: 'CLOUD_SECRET' must be named in the source's pass_env"
        ):
            await tools.list_tools()


async def test_working_folder_begins_at_base_dir(tmp_path: Path) -> None:
    """As every relative path does."""
    (tmp_path / "sub").mkdir()
    async with manual(cli("here", "pwd"), cli("sub", "pwd", working_dir="sub"), base_dir=tmp_path) as tools:
        assert (await tools.call("u", "here")).value == str(tmp_path)
        assert (await tools.call("u", "sub")).value == str(tmp_path / "sub")


async def test_command_that_takes_too_long_is_ended_with_all_that_it_started() -> None:
    """The caller waits no longer than the limit; the processes get a second to listen."""
    async with manual(cli("slow", "trap '' TERM; sleep 3600 & sleep 3600; sleep 3600")) as tools:
        started = time.monotonic()
        with pytest.raises(ToolTimedOut):
            await tools.call("u", "slow", timeout_s=0.2)
        assert time.monotonic() - started < 3


async def test_descendant_that_stays_behind_is_ended() -> None:
    """A command is over when it is over; what it left in the background is not left."""
    async with manual(cli("daemon", "sleep 3600 >/dev/null 2>&1 & echo started")) as tools:
        assert (await tools.call("u", "daemon")).value == "started"


async def test_command_that_floods_is_ended() -> None:
    """No more is read than a result may have, from the last command or from one before it."""
    async with manual(
        cli("last", "cat /dev/zero"), cli("first", "yes", "echo done"), max_result_bytes=100_000
    ) as tools:
        with pytest.raises(ResultTooLarge):
            await tools.call("u", "last")
        with pytest.raises(ToolFailed, match="exited with code 141"):
            await tools.call("u", "first")


async def test_secret_is_masked_in_what_a_command_says() -> None:
    """A command that prints its key into its error does not print it into ours."""
    fail = cli("fail", 'echo "bad key $KEY" >&2; exit 1', env_vars={"KEY": "${KEY}"})
    async with manual(fail, variables={"KEY": "hunter2hunter2"}) as tools:
        with pytest.raises(ToolFailed, match=r"bad key \*\*\*"):
            await tools.call("u", "fail")
