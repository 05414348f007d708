"""Reads one document from text, bytes or a file."""

import os

from maestro_yaml_config_parser._build import Builder
from maestro_yaml_config_parser._document import Document
from maestro_yaml_config_parser._errors import BadSyntax, BadValue, Unreadable
from maestro_yaml_config_parser._json import JsonReader
from maestro_yaml_config_parser._limits import Limits
from maestro_yaml_config_parser._text import check_characters, decoded
from maestro_yaml_config_parser._yaml import FAST_LOADER, YamlReader

_NO_LIMITS_GIVEN = Limits()
_JSON_BEGINS_WITH = ("{", "[", '"')


def load_yaml(
    source: str | bytes, *, file: str | os.PathLike[str] | None = None, limits: Limits = _NO_LIMITS_GIVEN
) -> Document:
    """The one YAML or JSON document of a text; raises YamlError and nothing else.

    `file` is the name that errors show; when it ends in .json, the text must be strict JSON.
    """
    name = None if file is None else os.fspath(file)
    text = decoded(source, limits, name)
    is_json = name is not None and name.lower().endswith(".json")
    if is_json or text.lstrip(" \t\r\n").startswith(_JSON_BEGINS_WITH):
        try:
            return _json_document(text, limits, name)
        except (BadSyntax, BadValue):
            if is_json:
                raise
            # It only began like JSON: what is wrong with it as YAML is for the YAML reader to say.
    return yaml_document(text, limits, name)


def load_yaml_file(path: str | os.PathLike[str], *, limits: Limits = _NO_LIMITS_GIVEN) -> Document:
    """The document of a file; raises YamlError, also when the file cannot be opened."""
    name = os.fspath(path)
    try:
        with open(name, "rb") as opened:
            source = opened.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Unreadable(
            f"the file cannot be read ({reason}): give the path of a file that is there", file=name
        ) from error
    return load_yaml(source, file=name, limits=limits)


def _json_document(text: str, limits: Limits, file: str | None) -> Document:
    builder = Builder(limits, file)
    JsonReader(text, builder, file).read()
    return builder.document()


def yaml_document(text: str, limits: Limits, file: str | None, loader: object = FAST_LOADER) -> Document:
    """The document of a text that is YAML, read by the given loader of PyYAML."""
    check_characters(text, file)
    builder = Builder(limits, file)
    YamlReader(text, builder, file).read(loader)
    return builder.document()
