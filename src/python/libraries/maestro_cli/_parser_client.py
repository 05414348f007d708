"""The words of the commands that speak to a running engine."""

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Command: TypeAlias = Callable[[argparse.Namespace], int]

_WORKFLOW: Final = "the id of a workflow, the end of one, or `last` for the newest"


def lazily(module: str, function: str) -> Command:
    """A command whose module is imported when it is carried out: `--help` needs none of them."""

    def command(options: argparse.Namespace) -> int:
        found: Command = getattr(importlib.import_module(f"maestro_cli.{module}"), function)
        return found(options)

    return command


def add_client_commands(commands: Commands) -> None:
    """Everything that is asked of, or told to, a running engine."""
    _add_start(commands)
    _add_questions(commands)
    _add_whole(commands)
    _add_steps(commands)
    _add_again(commands)
    _add_inbox(commands)
    _add_export(commands)


def group(commands: Commands, name: str, help_: str) -> Commands:
    """Commands about one subject, below its name."""
    parser = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def client(commands: Commands, name: str, command: Command, help_: str) -> argparse.ArgumentParser:
    """A command with what all of them take."""
    parser = commands.add_parser(name, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
    parser.add_argument("--url", metavar="URL", help="the engine (default: MAESTRO_URL, or http://127.0.0.1:8000)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(command=command)
    return parser


def _of_workflow(commands: Commands, name: str, module: str, help_: str) -> argparse.ArgumentParser:
    parser = client(commands, name, lazily(module, name), help_)
    parser.add_argument("workflow", metavar="WORKFLOW", help=_WORKFLOW)
    return parser


def _of_step(commands: Commands, name: str, help_: str) -> argparse.ArgumentParser:
    parser = _of_workflow(commands, name, "_control", help_)
    parser.add_argument("step", metavar="STEP", help="the id of the step")
    _add_item(parser)
    return parser


def _add_item(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--item", type=int, metavar="N", help="which item, from 0, when the step maps over a list")


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """What a workflow begins with."""
    parser.add_argument(
        "--input", action="append", default=[], metavar="NAME=VALUE", help="one input, as JSON or else as text"
    )
    parser.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="kept with the workflow")


def _add_start(commands: Commands) -> None:
    start = client(commands, "start", lazily("_start", "start"), "start a workflow on a running engine")
    start.add_argument("what", metavar="WHAT", help="TEMPLATE, TEMPLATE@VERSION, or the file of a definition")
    add_inputs(start)
    start.add_argument("--inputs-file", type=Path, metavar="FILE", help="inputs as YAML or JSON")
    start.add_argument("--watch", action="store_true", help="follow it to its end")


def _add_questions(commands: Commands) -> None:
    ls = client(commands, "ls", lazily("_workflows", "ls"), "list workflows, the newest first")
    statuses = ("running", "paused", "cancelling", "succeeded", "failed", "cancelled")
    ls.add_argument("--status", choices=statuses, help="only those that stand so")
    ls.add_argument("--name", metavar="NAME", help="only those of this name")
    ls.add_argument("--template", metavar="NAME", help="only those of this template")
    ls.add_argument("--parent", metavar="WORKFLOW", help="only the children of this one")
    ls.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="only those with this label")
    ls.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="only those with this input")
    ls.add_argument("--since", metavar="TIME", help="only those started at or after, as 2026-11-21T08:00:00Z")
    ls.add_argument("--until", metavar="TIME", help="only those started before")
    ls.add_argument("--limit", type=count, default=20, metavar="N", help="how many at most (default: 20)")
    show = _of_workflow(commands, "show", "_workflows", "show a workflow with its steps")
    show.add_argument("--at-seq", type=count, metavar="N", help="as it was after its first N events")
    _of_workflow(commands, "why", "_workflows", "say why a workflow has not ended yet")
    _of_workflow(commands, "watch", "_watch", "follow a workflow to its end")
    logs = _of_workflow(commands, "logs", "_workflows", "print the events of a workflow, one a line")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with those to come")
    logs.add_argument("--step", metavar="STEP", help="only those of this step")
    logs.add_argument("--from-seq", type=count, default=1, metavar="N", help="begin with this one (default: 1)")


def _add_whole(commands: Commands) -> None:
    cancel = _of_workflow(commands, "cancel", "_control", "cancel a workflow, with its compensation and finally")
    cancel.add_argument("--reason", metavar="TEXT", help="kept in the history")
    cancel.add_argument("--force", action="store_true", help="leave compensation and finally out")
    pause = _of_workflow(commands, "pause", "_control", "start nothing more of a workflow until it is resumed")
    pause.add_argument("--reason", metavar="TEXT", help="kept in the history")
    _of_workflow(commands, "resume", "_control", "go on with a paused workflow")
    signal = _of_workflow(commands, "signal", "_control", "tell a workflow something")
    signal.add_argument("name", metavar="NAME", help="the name that a step waits for")
    signal.add_argument("payload", nargs="?", metavar="JSON", help="what to tell it (default: null)")
    signal.add_argument("--id", metavar="ID", help="the same id again changes nothing")
    budget = _of_workflow(commands, "budget", "_control", "set the limits of a workflow's budget")
    budget.add_argument("amount", nargs="+", metavar="UNIT=NUMBER", help="money_usd, tokens, calls or time_s")


def _add_steps(commands: Commands) -> None:
    _of_step(commands, "retry", "try a step that waits for its retry now")
    skip = _of_step(commands, "skip", "count a step, or one item of it, as done")
    skip.add_argument("--output", metavar="JSON", help="what it gives (default: null)")
    skip.add_argument("--reason", metavar="TEXT", help="kept in the history")


def _add_again(commands: Commands) -> None:
    rerun = _of_workflow(commands, "rerun", "_control", "run a workflow again, and reuse what has not changed")
    rerun.add_argument(
        "--from-step", action="append", default=[], metavar="STEP", help="run it anew in any case, with all behind it"
    )
    rerun.add_argument("--file", type=Path, metavar="FILE", help="with this definition")
    rerun.add_argument("--input", action="append", default=[], metavar="NAME=VALUE", help="with this input changed")
    rerun.add_argument("--at-seq", type=count, metavar="N", help="fork it as it was after its first N events")
    migrate = _of_workflow(commands, "migrate", "_control", "go on with another definition")
    migrate.add_argument("file", type=Path, metavar="FILE", help="the definition, as YAML or JSON")
    migrate.add_argument("--rerun", action="append", default=[], metavar="STEP", help="run this ended step again")
    migrate.add_argument("--dry-run", action="store_true", help="only say what would become of each step")


def _add_inbox(commands: Commands) -> None:
    inbox = client(commands, "inbox", lazily("_inbox", "inbox"), "list what waits for people")
    inbox.add_argument("--kind", default="approval", metavar="KIND", help="approval (default), signal, event, budget …")
    approve = _of_workflow(commands, "approve", "_inbox", "approve, or reject, what a workflow asks")
    approve.add_argument("step", nargs="?", metavar="STEP", help="the id of the step; needed when several ask")
    _add_item(approve)
    approve.add_argument("--reject", action="store_true", help="say no")
    approve.add_argument("--data", action="append", default=[], metavar="NAME=VALUE", help="one field of the form")
    approve.add_argument("--comment", metavar="TEXT", help="kept in the history")


def _add_export(commands: Commands) -> None:
    export = _of_workflow(commands, "export", "_bundle", "write a workflow to a file, redacted and signed")
    export.add_argument("--output", "-o", type=Path, metavar="FILE", help="default: ID.maestro.zip")
    export.add_argument("--force", action="store_true", help="write over a file that is there")
    export.add_argument("--artifacts", action="store_true", help="bring the artifacts too")
    export.add_argument("--whole", action="store_true", help="do not redact passwords, tokens and their like")
    export.add_argument("--redact-values", type=Path, metavar="FILE", help="texts to take out, one a line")


def count(text: str) -> int:
    """A whole number of 1 or more."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("expected a whole number, 1 or more")
    return int(text)
