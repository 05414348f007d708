"""The step kind `shell`: runs a command."""

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._errors import BadArguments, ShellFailed
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds._arguments import is_open, unknown_names
from maestro_workflow_engine._kinds._process import Finished, Output, run_process
from maestro_workflow_engine._ports import StepCall

_NAMES: Final = {"command", "cwd", "env", "pass_env", "stdin", "parse", "artifacts", "max_output_bytes"}
_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_PARSERS: Final = ("text", "json", "lines")
_DEFAULT_OUTPUT_BYTES: Final = 1 << 20
_MAX_OUTPUT_BYTES: Final = 64 << 20
_SHOWN_CHARS: Final = 2000


@dataclass(frozen=True, slots=True)
class _Command:
    """The arguments, checked."""

    words: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    pass_env: tuple[str, ...]
    stdin: bytes
    parse: str
    artifacts: dict[str, str]
    max_output_bytes: int


class ShellKind:
    """`with: {command: "…" or […], cwd, env, pass_env, stdin, parse, artifacts, max_output_bytes}`.

    Gives `{exit_code, stdout, stdout_bytes, stderr, artifacts}`; `stdout` is text without its last line break, or what
    `parse` made of it. When stopped, the process group gets SIGTERM, and SIGKILL after `grace_s` seconds.
    """

    def __init__(self, *, grace_s: float = 3.0) -> None:
        self._grace_s = grace_s

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from unknown_names(arguments, _NAMES)
        if "command" not in arguments:
            yield "", "shell needs `command`: a text for the shell, or a list of words"
        for name, value in arguments.items():
            if name in _READERS and not is_open(value):
                try:
                    _READERS[name](value)
                except ValueError as error:
                    yield f"/{name}", str(error)

    async def run(self, call: StepCall) -> object:
        """Run the command and give what it wrote."""
        command = _read(call.arguments)
        work_dir = call.work_dir
        cwd = call.base_dir / command.cwd
        if not cwd.is_dir():
            raise BadArguments(f"/with/cwd: there is no folder {cwd}")
        try:
            finished = await run_process(
                command.words,
                cwd=cwd,
                env=_environment(command, call, work_dir),
                stdin=command.stdin,
                limit_bytes=command.max_output_bytes,
                grace_s=self._grace_s,
            )
        except FileNotFoundError as error:
            raise BadArguments(f"/with/command: there is no program {command.words[0]!r}") from error
        except PermissionError as error:
            raise BadArguments(f"/with/command: {command.words[0]!r} may not be executed") from error
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            raise BadArguments(
                "/with: the words and the variables are longer than the system allows: give large data by `stdin`"
            ) from error
        if finished.exit_code != 0:
            raise ShellFailed(_complaint(finished))
        result: dict[str, JSON] = {
            "exit_code": finished.exit_code,
            "stdout": _parsed(finished.stdout, command),
            "stdout_bytes": finished.stdout.size_bytes,
            "stderr": _text(finished.stderr)[-_SHOWN_CHARS:],
        }
        artifacts: dict[str, JSON] = {}
        for name, path in command.artifacts.items():
            file = work_dir / path if (work_dir / path).is_file() else cwd / path
            if not file.is_file():
                raise ShellFailed(
                    f"the artifact {name!r} was not written: no file {path!r} in the work folder or in {cwd}"
                )
            artifacts[name] = (await call.artifacts.put(file, name)).as_json()
        return {**result, "artifacts": artifacts}

    async def close(self) -> None:
        """Nothing is held between steps."""


def _environment(command: _Command, call: StepCall, work_dir: Path) -> dict[str, str]:
    env = {name: os.environ[name] for name in (*_INHERITED, *command.pass_env) if name in os.environ}
    env.update(command.env)
    # Last, so that nothing of the same name is hidden: the Python that runs the engine is found on any machine.
    env["PATH"] = os.pathsep.join((env.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    env["MAESTRO_WORK_DIR"] = str(work_dir)
    env["MAESTRO_WORKFLOW_ID"] = call.workflow_id
    env["MAESTRO_STEP_ID"] = call.step_id
    env["MAESTRO_IDEMPOTENCY_KEY"] = call.idempotency_key
    return env


def _text(output: Output) -> str:
    return output.tail.decode("utf-8", errors="replace")


def _parsed(output: Output, command: _Command) -> JSON:
    text = _text(output)
    if command.parse == "text":
        return text.removesuffix("\n")
    if not output.is_whole:
        raise BadArguments(
            f"the output has {output.size_bytes} bytes, `max_output_bytes` is {command.max_output_bytes}: "
            f"too much to parse it as {command.parse}"
        )
    if command.parse == "lines":
        return list(text.splitlines())
    try:
        value: JSON = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShellFailed(f"the output is not JSON: {error}; it begins with {text[:80]!r}") from error
    return value


def _complaint(finished: Finished) -> str:
    code = finished.exit_code
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = (_text(finished.stderr).strip() or _text(finished.stdout).strip())[-_SHOWN_CHARS:]
    return f"the command {how}: {said}" if said else f"the command {how} and said nothing"


# --- arguments ---


def _read(arguments: Mapping[str, object]) -> _Command:
    values: dict[str, Any] = {}
    for name, reader in _READERS.items():
        if name in arguments or name == "command":
            try:
                values[name] = reader(arguments.get(name))
            except ValueError as error:
                raise BadArguments(f"/with/{name}: {error}") from error
    return _Command(
        words=values["command"],
        cwd=values.get("cwd", ""),
        env=values.get("env", {}),
        pass_env=values.get("pass_env", ()),
        stdin=values.get("stdin", b""),
        parse=values.get("parse", "text"),
        artifacts=values.get("artifacts", {}),
        max_output_bytes=values.get("max_output_bytes", _DEFAULT_OUTPUT_BYTES),
    )


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value.strip():
        return ("/bin/sh", "-c", _word(value))
    if isinstance(value, list) and value:
        return tuple(_word(word) for word in value)
    raise ValueError("a text for the shell was expected, or a list of words")


def _word(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("texts and numbers were expected")
    text = str(value)
    if "\0" in text:
        raise ValueError("a NUL character cannot be passed on")
    return text


def _folder(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("the path of a folder was expected, relative to that of the definition")
    return value


def _variables(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("an object was expected, from the name of a variable to its value")
    for name in value:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name[:64]!r} cannot be the name of a variable")
    return {name: _word(inner) for name, inner in value.items()}


def _variable_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("a list of names of variables was expected")
    return tuple(value)


def _stdin(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _parser(value: object) -> str:
    if value not in _PARSERS:
        raise ValueError(f"one of {', '.join(_PARSERS)} was expected")
    return str(value)


def _paths(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(path, str) and path for path in value.values()):
        raise ValueError("an object was expected, from the name of an artifact to the path of its file")
    return dict(value)


def _output_limit(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_OUTPUT_BYTES:
        raise ValueError(f"a number from 1 to {_MAX_OUTPUT_BYTES} was expected")
    return value


_READERS: Final = {
    "command": _words,
    "cwd": _folder,
    "env": _variables,
    "pass_env": _variable_names,
    "stdin": _stdin,
    "parse": _parser,
    "artifacts": _paths,
    "max_output_bytes": _output_limit,
}
