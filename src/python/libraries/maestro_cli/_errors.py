"""What the command line can refuse.

CliError                    told to the person in one or more lines; ends the command with `exit_status`
├── BadUsage                an argument or a file is not right
├── NothingToResume         there is no unfinished workflow of this name
├── EngineMissing           `maestro up` without the wheel maestro-engine
└── DataFolderBusy          another engine holds the data folder
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
