"""Reads definitions and inputs from files; what is wrong is shown in its line, with a caret below it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from maestro_cli._errors import BadDefinition, BadUsage
from maestro_cli._text import plain, width_of
from maestro_workflow_engine import InvalidDefinition, StepKind, WorkflowDefinition, parse_definition
from maestro_yaml_config_parser import YamlError, load_yaml_file

_MOST_SHOWN = 20
_MOST_READ = 8 << 20
_LONGEST_LINE = 160


class Place(Protocol):
    """What an error says of itself; None where it has no place."""

    @property
    def line(self) -> int | None: ...

    @property
    def column(self) -> int | None: ...


def read_definition(file: Path, kinds: Mapping[str, StepKind]) -> WorkflowDefinition:
    """The definition in a YAML or JSON file; raises BadDefinition with every problem, shown in its line."""
    try:
        document = load_yaml_file(file)
        return parse_definition(
            document.data,
            positions=document.positions,
            key_positions=document.key_positions,
            file=str(file),
            kinds=kinds,
        )
    except YamlError as error:
        raise BadDefinition(shown(file, [error]), [_plain_problem(error)]) from error
    except InvalidDefinition as error:
        raise BadDefinition(shown(file, error.problems), list(map(_plain_problem, error.problems))) from error


def read_data(file: Path) -> object:
    """The data in a YAML or JSON file; raises BadUsage."""
    try:
        return load_yaml_file(file).data
    except YamlError as error:
        raise BadUsage(shown(file, [error])) from error


def _plain_problem(problem: Place) -> dict[str, object]:
    said = {name: getattr(problem, name, None) for name in ("line", "column", "path", "code")}
    message = getattr(problem, "message", None) or str(problem)
    return {**{name: value for name, value in said.items() if value is not None}, "message": message}


def shown(file: Path, problems: Sequence[Place]) -> str:
    """Every problem with the line that it is in, up to a bound; a lone one without a line is told as it is."""
    count = len(problems)
    if count == 1 and problems[0].line is None:
        return str(problems[0])
    source = _source_lines(file)
    lines = [f"{file} has {count} problem{'s' if count != 1 else ''}:"]
    for problem in problems[:_MOST_SHOWN]:
        lines += ["", *_with_source(problem, source)]
    if count > _MOST_SHOWN:
        lines += ["", f"… and {count - _MOST_SHOWN} more"]
    return "\n".join(lines)


def _source_lines(file: Path) -> list[str]:
    """The lines of a file, as far as they can be shown; none when it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_READ).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _with_source(problem: Place, source: Sequence[str]) -> Iterator[str]:
    yield str(problem)
    if problem.line is None or not 1 <= problem.line <= len(source):
        return
    line = source[problem.line - 1].expandtabs(1)[:_LONGEST_LINE]
    number = f"{problem.line:>6}"
    yield f"{number} │ {plain(line)}"
    if problem.column is not None:
        yield f"{' ' * len(number)} │ {' ' * width_of(line[: problem.column - 1])}^"
