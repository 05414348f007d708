"""`maestro completion`: scripts by which a shell completes the words of the command line, made from the parser."""

import argparse
import shlex
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Place:
    """One command: the words that lead to it, and what can follow."""

    words: tuple[str, ...]
    commands: dict[str, str]
    """Each with what it is for."""
    options: tuple[argparse.Action, ...]
    choices: tuple[str, ...]
    """What may stand in the place of an argument, where that is one of a few words."""
    takes_files: bool


def completion(options: Namespace) -> int:
    """Print the script for a shell."""
    from maestro_cli._parser import make_parser

    places = list(_places(make_parser(), ()))
    script = {"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell]
    print(script(places), end="")
    return 0


def _places(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[_Place]:
    commands: dict[str, str] = {}
    below: list[_Place] = []
    options: list[argparse.Action] = []
    choices: list[str] = []
    takes_files = False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            for name, each in action.choices.items():
                commands[name] = helps.get(name, "")
                below += _places(each, (*words, name))
        elif action.option_strings:
            options.append(action)
        else:
            takes_files = takes_files or action.type is Path
            choices += map(str, action.choices or ())
    yield _Place(words, commands, tuple(options), tuple(choices), takes_files)
    yield from below


def _takes_value(option: argparse.Action) -> bool:
    return option.nargs != 0


def _bash(places: list[_Place]) -> str:
    ways = []
    for place in places:
        for name in place.commands:
            way = shlex.quote(" ".join((*place.words, name)))
            ways.append(f"            {way}) place={way} ;;")
    words, values = [], []
    for place in places:
        offered = [
            *place.commands,
            *place.choices,
            *(name for option in place.options for name in option.option_strings),
        ]
        files = " files=1" if place.takes_files else ""
        words.append(f"        {shlex.quote(' '.join(place.words))}) words={shlex.quote(' '.join(offered))}{files} ;;")
        for option in filter(_takes_value, place.options):
            patterns = "|".join(shlex.quote(" ".join((*place.words, name))) for name in option.option_strings)
            choices = " ".join(map(str, option.choices or ()))
            values.append(
                f"        {patterns}) words={shlex.quote(choices)} files={1 if option.type is Path else ''} ;;"
            )
    return _BASH.format(ways="\n".join(ways), words="\n".join(words), values="\n".join(values))


# The first word that is an option's value is taken for a command only if it has the name of one, as in any shell.
_BASH = """\
# Completion of maestro for bash: eval "$(maestro completion bash)"
_maestro() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    local place="" words="" files="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${{place:+$place }}${{COMP_WORDS[i]}}" in
{ways}
        esac
    done
    case "$place" in
{words}
    esac
    case "${{place:+$place }}$previous" in
{values}
    esac
    COMPREPLY=()
    while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -W "$words" -- "$current")
    if [ -n "$files" ]; then
        while IFS= read -r i; do COMPREPLY+=("$i"); done < <(compgen -f -- "$current")
    fi
}}
complete -o filenames -F _maestro maestro
"""


def _zsh(places: list[_Place]) -> str:
    return "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + _bash(places)


def _fish(places: list[_Place]) -> str:
    lines = ["# Completion of maestro for fish: maestro completion fish | source", "complete -c maestro -f"]
    for place in places:
        here = _fish_condition(place)
        for name, about in place.commands.items():
            lines.append(f"complete -c maestro -n {here} -a {shlex.quote(name)} -d {_fish_text(about)}")
        for option in place.options:
            names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.option_strings]
            words = ["complete -c maestro -n", here, *names, "-d", _fish_text(option.help or "")]
            if _takes_value(option):
                words.append("-r")
                words += ["-a", _fish_text(" ".join(map(str, option.choices)))] if option.choices else []
                words += ["-F"] if option.type is Path else []
            lines.append(" ".join(words))
        if place.choices:
            lines.append(f"complete -c maestro -n {here} -a {_fish_text(' '.join(place.choices))}")
        if place.takes_files:
            lines.append(f"complete -c maestro -n {here} -F")
    return "\n".join(lines) + "\n"


def _fish_condition(place: _Place) -> str:
    if not place.words:
        return "__fish_use_subcommand"
    parts = [f"__fish_seen_subcommand_from {word}" for word in place.words]
    if place.commands:
        parts.append(f"not __fish_seen_subcommand_from {' '.join(place.commands)}")
    return _fish_text("; and ".join(parts))


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
