"""The command line: words to functions, errors to lines and exit statuses."""

import io
import os
import sys
from collections.abc import Sequence

from maestro_cli._errors import CliError
from maestro_cli._parser import make_parser
from maestro_cli._text import plain

BAD_USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that an encoding lacks is no reason to end
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    try:
        return int(options.command(options))
    except CliError as error:
        lines = [plain(line) for line in str(error).split("\n")]
        print("maestro: " + "\n".join(lines), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left. Nothing more can be said, also not by the flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
