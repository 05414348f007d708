"""What the command line can refuse.

CliError                    told to the person in one or more lines; ends the command with `exit_status`
├── BadUsage                an argument or a file is not right
│   └── BadDefinition       a definition is not right; holds its problems
├── NothingToResume         there is no unfinished workflow of this name
├── EngineMissing           `maestro up` without the wheel maestro-engine
├── DataFolderBusy          another engine holds the data folder
├── EngineUnreachable       no engine answers at the address
└── EngineRefused           the engine has answered with a problem; holds its code and status
"""

from typing import ClassVar


class CliError(Exception):
    """Root of everything that this package raises."""

    code: ClassVar[str] = "cli.failed"
    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1


class BadUsage(CliError):
    """An argument or a file is not right."""

    code: ClassVar[str] = "cli.bad-usage"
    exit_status: ClassVar[int] = 2


class BadDefinition(BadUsage):
    """A definition is not right; `problems` holds each as plain data: line, column, path, message, where known."""

    code: ClassVar[str] = "cli.bad-definition"

    def __init__(self, message: str, problems: list[dict[str, object]]) -> None:
        self.problems = problems
        super().__init__(message)


class NothingToResume(CliError):
    """There is no unfinished workflow of this name."""

    code: ClassVar[str] = "cli.nothing-to-resume"
    exit_status: ClassVar[int] = 2


class EngineMissing(CliError):
    """`maestro up` starts the service maestro-engine, which is not installed."""

    code: ClassVar[str] = "cli.engine-missing"
    exit_status: ClassVar[int] = 2


class DataFolderBusy(CliError):
    """Another engine holds the data folder."""

    code: ClassVar[str] = "cli.data-folder-busy"
    retryable: ClassVar[bool] = True
    exit_status: ClassVar[int] = 1


class EngineUnreachable(CliError):
    """No engine answers at the address, or the connection to it broke."""

    code: ClassVar[str] = "cli.engine-unreachable"
    retryable: ClassVar[bool] = True
    exit_status: ClassVar[int] = 3


class EngineRefused(CliError):
    """The engine has answered with a problem; `problem` is its code, `status` that of HTTP."""

    code: ClassVar[str] = "cli.engine-refused"

    def __init__(self, message: str, *, problem: str, status: int) -> None:
        self.problem = problem
        self.status = status
        super().__init__(message)
