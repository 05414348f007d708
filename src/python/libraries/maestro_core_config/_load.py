"""Loading: read every layer once, then put them together."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from maestro_core_config._files import Unreadable, read_table
from maestro_core_config._layers import Reading, read_tree
from maestro_core_config._origin import Layer, Origin, Problem
from maestro_core_config._settings import Settings, assemble, read_overrides
from maestro_core_config._texts import read_environment, read_secrets

S = TypeVar("S", bound=Settings)


def load_settings(
    cls: type[S],
    *,
    file: Path | str | None = None,
    environment: Mapping[str, str] | None = None,
    secrets_dir: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> S:
    """Settings from defaults < file < environment < secrets folder < overrides; the later one wins.

    `environment` is os.environ when None. A file or a folder that is named must exist. Raises InvalidSettings, which
    lists every problem at once.
    """
    readings = [
        read_file(cls, Path(file)) if file is not None else Reading(),
        read_environment(cls, os.environ if environment is None else environment),
        read_secrets(cls, Path(secrets_dir)) if secrets_dir is not None else Reading(),
        read_overrides(cls, overrides or {}),
    ]
    settings = cls.__new__(cls)
    assemble(settings, readings)
    return settings


def read_file(cls: type[Settings], file: Path) -> Reading:
    """The layer of a configuration file."""
    try:
        data = read_table(file)
    except Unreadable as error:
        return Reading({}, [Problem("", str(error))], {()})
    return read_tree(cls, data, lambda name: Origin(Layer.FILE, ".".join(name), file))
