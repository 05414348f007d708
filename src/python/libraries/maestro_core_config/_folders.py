"""Where the platform keeps its files on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from maestro_core_config._errors import InvalidSettings
from maestro_core_config._origin import Layer, Origin, Problem

_DATA, _CONFIG, _CACHE = "MAESTRO_DATA_DIR", "MAESTRO_CONFIG_DIR", "MAESTRO_CACHE_DIR"

FOLDER_VARIABLES = frozenset({_DATA, _CONFIG, _CACHE})
"""Variables that move a folder; they belong to the platform, not to a settings class."""


def data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The folder for what must be kept: MAESTRO_DATA_DIR, or the platform's own; it is not created."""
    return _folder(_DATA, environment) or platformdirs.user_data_path("maestro", appauthor=False)


def config_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The folder for configuration files: MAESTRO_CONFIG_DIR, or the platform's own; it is not created."""
    return _folder(_CONFIG, environment) or platformdirs.user_config_path("maestro", appauthor=False)


def cache_dir(environment: Mapping[str, str] | None = None) -> Path:
    """The folder for what can be made again: MAESTRO_CACHE_DIR, or the platform's own; it is not created."""
    return _folder(_CACHE, environment) or platformdirs.user_cache_path("maestro", appauthor=False)


def _folder(variable: str, environment: Mapping[str, str] | None) -> Path | None:
    """The folder that the variable names; unset and empty mean the same, as for XDG_DATA_HOME."""
    text = (os.environ if environment is None else environment).get(variable, "")
    if not text:
        return None
    problem = ""
    try:
        folder = Path(text).expanduser()
        if folder.is_absolute() and "\0" not in text:
            return folder
        problem = "it must be an absolute path"
    except RuntimeError:
        problem = "its home folder cannot be found"
    raise InvalidSettings("the platform folders", (Problem("", problem, Origin(Layer.ENVIRONMENT, variable)),))
