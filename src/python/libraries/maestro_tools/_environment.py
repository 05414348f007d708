"""What a tool's process may see of us: its environment, its program, and the variables named for it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from maestro_tools._errors import ServerUnavailable, did_you_mean

# Where things are and how text is written; nothing that is ever a credential.
SAFE_VARIABLES = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")

_BRACED = re.compile(r"\$\{([a-zA-Z0-9_]+)\}")
# As UTCP has it: both forms.
_BRACED_OR_BARE = re.compile(r"\$\{([a-zA-Z0-9_]+)\}|\$([a-zA-Z0-9_]+)")


def passed(names: Iterable[str]) -> dict[str, str]:
    """Those of our own variables that are named; one that is not set is left out."""
    return {name: os.environ[name] for name in names if name in os.environ}


def child_environment(own: Mapping[str, str], pass_env: Iterable[str]) -> dict[str, str]:
    """The whole environment of a tool's process: the safe default, then `pass_env`, then its own."""
    return {**passed(SAFE_VARIABLES), **passed(pass_env), **own}


def find_program(program: str, path: str | None, cwd: Path) -> str:
    """Where a program lies: as a path from `cwd`, on PATH, or beside our own Python (where wheels put programs).

    Raises ServerUnavailable, which no retry mends, when it is nowhere.
    """
    if os.sep in program:
        found = shutil.which(cwd / program)
        places = str(cwd)
    else:
        beside = str(Path(sys.executable).parent)
        found = shutil.which(program, path=path) or shutil.which(program, path=beside)
        places = f"PATH and {beside}"
    if found is None:
        raise ServerUnavailable(f"program {program!r} not found (looked in {places}): install it", retryable=False)
    return os.path.abspath(found)


def substitute(value: Any, variables: Mapping[str, str], *, bare: bool) -> Any:
    """Nested data with every `${NAME}`, and with `bare` every `$NAME`, replaced.

    Raises ValueError naming one that is not declared.
    """
    pattern = _BRACED_OR_BARE if bare else _BRACED

    def declared(match: re.Match[str]) -> str:
        name = next(group for group in match.groups() if group is not None)
        if name not in variables:
            hint = did_you_mean(name, variables)
            raise ValueError(f"variable {name!r} is not declared in variables or pass_env, or is not set{hint}")
        return variables[name]

    return _mapped(value, lambda text: pattern.sub(declared, text))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Nested data with every string changed; keys stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return value
