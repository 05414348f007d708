"""Layers that come as text, one value for each name: environment variables and files of a secrets folder."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from maestro_core_config._files import NotJson, Unreadable, read_text, strict_json
from maestro_core_config._folders import FOLDER_VARIABLES
from maestro_core_config._layers import Reading, overlay, read_tree
from maestro_core_config._origin import Layer, Origin, Problem
from maestro_core_config._settings import Settings
from maestro_core_config._shape import Name, environment_name, find, names_near, suggestion

MAX_SECRETS = 1000
"""The largest number of entries in a secrets folder."""

_SERVICE_LINK = re.compile(
    r"(?:\w+_)?(?:SERVICE_HOST=.*|SERVICE_PORT(?:_\w+)?=\d+|PORT=(?:tcp|udp|sctp)://.*|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?=.*)"
)
"""What Kubernetes adds to the environment for each Service of the namespace, after the Service's name."""


def read_environment(cls: type[Settings], environment: Mapping[str, str]) -> Reading:
    """The layer of environment variables; every variable with the prefix of the class must be known to it."""
    prefix = environment_name(cls, ())
    texts = _Texts(cls)
    for variable, text in sorted(environment.items()):
        if not variable.upper().startswith(prefix) or variable in FOLDER_VARIABLES:
            continue
        if variable.startswith(cls.foreign_environment):
            continue
        origin = Origin(Layer.ENVIRONMENT, variable)
        name = tuple(variable[len(prefix) :].lower().split("__"))
        if variable == variable.upper() and find(cls, name) is not None:
            texts.add(name, text, origin)
        elif not _SERVICE_LINK.fullmatch(f"{variable[len(prefix):]}={text}"):
            close = suggestion(variable.upper(), [environment_name(cls, known) for known in names_near(cls, name)])
            texts.reading.problems.append(Problem("", f"there is no such setting{close}", origin))
    return texts.read()


def read_secrets(cls: type[Settings], folder: Path) -> Reading:
    """The layer of a secrets folder: files named like the settings, as Docker and Kubernetes mount them."""
    texts = _Texts(cls)
    try:
        files = _secret_files(folder)
    except Unreadable as error:
        return Reading({}, [Problem("", f"the secrets folder: {error}", Origin(Layer.SECRETS, file=folder))], {()})
    for file in files:
        origin = Origin(Layer.SECRETS, file=file)
        name = tuple(file.name.split("__"))
        if find(cls, name) is None:
            close = suggestion(file.name, ["__".join(known) for known in names_near(cls, name)])
            texts.reading.problems.append(Problem("", f"there is no such setting{close}", origin))
            continue
        try:
            texts.add(name, _read_inside(folder, file), origin)
        except Unreadable as error:
            texts.fail(name, str(error), origin)
    return texts.read()


class _Texts:
    """Gathers texts by name, in the order of names: a table comes before its keys, so that the keys lie over it."""

    def __init__(self, cls: type[Settings]) -> None:
        self.reading = Reading()
        self._cls = cls
        self._found: list[tuple[Name, object, Origin]] = []

    @cached_property
    def _decoder(self) -> "_Decoder":
        return _Decoder(self._cls)

    def add(self, name: Name, text: str, origin: Origin) -> None:
        field = find(self._cls, name)
        assert field is not None, "the caller looks names up"
        try:
            self._found.append((name, self._decoder.decode(name, field, text), origin))
        except NotJson as error:
            place = f"line {error.line}, column {error.column}: " if error.line else ""
            self.fail(name, f'it must be JSON, such as ["a", "b"] or {{"a": 1}}: {place}{error}', origin)

    def fail(self, name: Name, message: str, origin: Origin) -> None:
        self.reading.problems.append(Problem(".".join(name), message, origin))
        self.reading.lost.add(name)

    def read(self) -> Reading:
        for name, value, origin in self._found:
            data: dict[str, object] = {}
            inner = data
            for part in name[:-1]:
                inner = inner.setdefault(part, {})  # type: ignore[assignment]  # every inner value is such a dict
            inner[name[-1]] = value
            one = read_tree(self._cls, data, lambda _, origin=origin: origin)  # type: ignore[misc]  # mypy cannot type a bound default
            self.reading.tree = overlay(self.reading.tree, one.tree)
            self.reading.problems.extend(one.problems)
        return self.reading


class _Decoder(EnvSettingsSource):
    """pydantic-settings' rules for values that come as text, with our strict JSON; it reads nothing itself."""

    def __init__(self, cls: type[Settings]) -> None:
        super().__init__(cls)
        self.env_vars = {}

    def decode(self, name: Name, field: FieldInfo, text: str) -> object:
        return self.prepare_field_value(name[-1], field, text, False)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        return strict_json(value)


def _secret_files(folder: Path) -> list[Path]:
    """The files that may be settings: those whose name could be one; folders and `..data` are the orchestrator's."""
    try:
        entries = sorted(folder.iterdir())
        if len(entries) > MAX_SECRETS:
            raise Unreadable(f"it holds more than {MAX_SECRETS} entries")
        return [entry for entry in entries if entry.name.isidentifier() and not entry.is_dir()]
    except FileNotFoundError:
        raise Unreadable("there is no such folder") from None
    except NotADirectoryError:
        raise Unreadable("it is not a folder") from None
    except OSError as error:
        raise Unreadable(f"it cannot be read: {error.strerror}") from None


def _read_inside(folder: Path, file: Path) -> str:
    """The text of a secret without its last line ends; a link may lead elsewhere only within the folder."""
    try:
        inside = file.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself
        raise Unreadable("its link leads nowhere") from None
    if not inside:
        raise Unreadable("its link leads out of the secrets folder")
    return read_text(file).rstrip("\r\n")
