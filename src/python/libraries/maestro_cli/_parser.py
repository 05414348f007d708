"""The words of the command line: what can be typed, and which function it means."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from maestro_cli._parser_client import Commands, add_client_commands, count, group, lazily
from maestro_cli._parser_subjects import add_subject_commands

_MORE: Final = "`maestro COMMAND --help` tells what a command takes."

_EXIT_STATUSES: Final = """\
exit status:
  0    the workflow succeeded
  1    it failed, or was cancelled; or the data folder is in use
  2    the command, the definition or an input is not right
  4    it waits for an answer that nobody gives here; go on with --resume
  130  interrupted; go on with --resume
"""


def make_parser() -> argparse.ArgumentParser:
    """The words of the command line; `command` is the function that they mean, None when there is none."""
    parser = argparse.ArgumentParser(prog="maestro", description="Durable workflows over tools.", epilog=_MORE)
    parser.add_argument("--version", action=_Version, help="show the version and end")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    parser.set_defaults(command=None)
    _add_run(commands)
    _add_validate(commands)
    _add_up(commands)
    add_client_commands(commands)
    add_subject_commands(commands)
    _add_tool(commands)
    _add_replay(commands)
    _add_api(commands)
    _add_completion(commands)
    return parser


def _add_run(commands: Commands) -> None:
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
    run.add_argument("--max-parallel", type=count, default=64, metavar="N", help="steps at once (default: 64)")
    _add_data_dir(run)
    run.set_defaults(command=_run)


def _add_validate(commands: Commands) -> None:
    validate = commands.add_parser(
        "validate",
        help="check a definition without running it",
        description="Check a definition without running it; every problem is shown in its line. Exit status 0 or 2.",
    )
    validate.add_argument("file", type=Path, metavar="FILE", help="the definition, as YAML or JSON")
    validate.add_argument("--json", action="store_true", help="print JSON, for programs")
    validate.set_defaults(command=_validate)


def _add_up(commands: Commands) -> None:
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


def _add_api(commands: Commands) -> None:
    contract = group(commands, "api", "work with the contracts of services").add_parser(
        "contract",
        help="write the OpenAPI document of a service",
        description="Write the OpenAPI document of a service, made from its code; nothing is started.",
    )
    contract.add_argument("app", metavar="MODULE:FACTORY", help="as maestro_engine.app:contract_app")
    contract.add_argument("output", type=Path, nargs="?", metavar="FILE", help="default: standard output")
    contract.set_defaults(command=_contract)


def _add_tool(commands: Commands) -> None:
    tool = group(commands, "tool", "the tools of a definition, and whether they are what was pinned")
    for name, function, help_ in (
        ("list", "list_tools", "list the tools of a definition's sources"),
        ("pin", "pin", "write what the tools are now into the lock file"),
        ("drift", "show_drift", "say which tools are not what was pinned; exit status 1 when there are any"),
    ):
        each = tool.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
        each.add_argument("file", type=Path, metavar="FILE", help="the definition, as YAML or JSON")
        if name != "list":
            each.add_argument("--lock", type=Path, metavar="FILE", help="default: maestro-tools.lock beside FILE")
        each.add_argument("--json", action="store_true", help="print JSON, for programs")
        each.set_defaults(command=lazily("_tools", function))


def _add_replay(commands: Commands) -> None:
    replay = commands.add_parser(
        "replay",
        help="show an exported workflow, and decide its history anew",
        description="Show an exported workflow and decide its history anew; exit status 1 when that comes to another.",
    )
    replay.add_argument("file", type=Path, metavar="FILE", help="what `maestro export` wrote")
    replay.add_argument("--at-seq", type=count, metavar="N", help="show it as it was after its first N events")
    replay.add_argument("--json", action="store_true", help="print JSON, for programs")
    replay.set_defaults(command=lazily("_bundle", "replay"))


def _add_completion(commands: Commands) -> None:
    completion = commands.add_parser(
        "completion",
        help="print the script that completes words in a shell",
        description='Print the script that completes words in a shell: eval "$(maestro completion bash)"',
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")
    completion.set_defaults(command=lazily("_completion", "completion"))


def _add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where workflows are kept (default: the platform's data folder)"
    )


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

    return validate(options.file, as_json=options.json)


def _up(options: argparse.Namespace) -> int:
    from maestro_cli._up import up

    return up(host=options.host, port=options.port, data_dir=options.data_dir)


def _contract(options: argparse.Namespace) -> int:
    from maestro_cli._contract import contract

    return contract(options.app, options.output)


class _Version(argparse.Action):
    """Finds the version when it is asked for: reading what is installed takes longer than the rest of a start."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *unused: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version("maestro-cli")
        except metadata.PackageNotFoundError:
            version = "source tree"
        print(f"maestro {version}")
        parser.exit()
