"""The command line: words to functions, errors to lines and exit statuses."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from maestro_cli._errors import CliError

BAD_USAGE = 2
INTERRUPTED = 130
PIPE_CLOSED = 141

_MORE = "`maestro COMMAND --help` tells what a command takes."

_EXIT_STATUSES = """\
exit status:
  0    the workflow succeeded
  1    it failed, or was cancelled; or the data folder is in use
  2    the command, the definition or an input is not right
  130  interrupted; go on with --resume
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return BAD_USAGE
    try:
        return int(options.command(options))
    except CliError as error:
        print(f"maestro: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left. Nothing more can be said, also not by the flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _run(options: argparse.Namespace) -> int:
    from maestro_cli._run import RunOptions, run

    return run(
        RunOptions(
            file=options.file,
            inputs=options.input,
            inputs_file=options.inputs_file,
            resume=options.resume,
            data_dir=options.data_dir,
            as_json=options.json,
            max_parallel=options.max_parallel,
        )
    )


def _validate(options: argparse.Namespace) -> int:
    from maestro_cli._validate import validate

    return validate(options.file)


def _up(options: argparse.Namespace) -> int:
    from maestro_cli._up import up

    return up(host=options.host, port=options.port, data_dir=options.data_dir)


def _contract(options: argparse.Namespace) -> int:
    from maestro_cli._contract import contract

    return contract(options.app, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="maestro", description="Durable workflows over tools.", epilog=_MORE)
    parser.add_argument("--version", action="version", version=f"maestro {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    parser.set_defaults(command=None)
    _add_run(commands)
    _add_validate(commands)
    _add_up(commands)
    _add_api(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    run = commands.add_parser(
        "run",
        help="run a workflow here and follow it",
        description="Run a workflow in this process and follow it to its end.",
        epilog=_EXIT_STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", type=Path, metavar="FILE", help="the definition, as YAML or JSON")
    run.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one input, as text or as JSON by its declared type; may be repeated",
    )
    run.add_argument("--inputs-file", type=Path, metavar="FILE", help="inputs as YAML or JSON")
    run.add_argument("--resume", action="store_true", help="go on with the newest unfinished workflow of this name")
    run.add_argument("--json", action="store_true", help="print events, then the final state, one JSON a line")
    run.add_argument("--max-parallel", type=_positive, default=64, metavar="N", help="steps at once (default: 64)")
    _add_data_dir(run)
    run.set_defaults(command=_run)


def _add_validate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    validate = commands.add_parser(
        "validate",
        help="check a definition without running it",
        description="Check a definition without running it; every problem is shown in its line. Exit status 0 or 2.",
    )
    validate.add_argument("file", type=Path, metavar="FILE", help="the definition, as YAML or JSON")
    validate.set_defaults(command=_validate)


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    up = commands.add_parser(
        "up",
        help="start the engine on this machine",
        description="Start the engine's API on this machine, until Ctrl-C. It goes on with what has not ended. "
        "Further settings: MAESTRO_ENGINE_… in the environment.",
    )
    up.add_argument("--host", metavar="NAME", help="address to listen on (default: 127.0.0.1)")
    up.add_argument("--port", type=int, metavar="N", help="port to listen on (default: 8000; 0 takes a free one)")
    _add_data_dir(up)
    up.set_defaults(command=_up)


def _add_api(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    api = commands.add_parser("api", help="work with the contracts of services")
    subjects = api.add_subparsers(title="commands", metavar="COMMAND", required=True)
    contract = subjects.add_parser(
        "contract",
        help="write the OpenAPI document of a service",
        description="Write the OpenAPI document of a service, made from its code; nothing is started.",
    )
    contract.add_argument("app", metavar="MODULE:FACTORY", help="as maestro_engine.app:contract_app")
    contract.add_argument("output", type=Path, nargs="?", metavar="FILE", help="default: standard output")
    contract.set_defaults(command=_contract)


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where workflows are kept (default: the platform's data folder)"
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number, 1 or more")
    return int(text)


def _version() -> str:
    try:
        return metadata.version("maestro-cli")
    except metadata.PackageNotFoundError:
        return "source tree"
