"""Reads YAML and JSON strictly and safely, and knows the line and column of every value."""

from maestro_yaml_config_parser._document import Document, Position
from maestro_yaml_config_parser._errors import (
    BadSyntax,
    BadValue,
    DuplicateKey,
    NotSupported,
    TooLarge,
    Unreadable,
    YamlError,
)
from maestro_yaml_config_parser._limits import Limits
from maestro_yaml_config_parser._load import load_yaml, load_yaml_file

__all__ = [
    "BadSyntax",
    "BadValue",
    "Document",
    "DuplicateKey",
    "Limits",
    "NotSupported",
    "Position",
    "TooLarge",
    "Unreadable",
    "YamlError",
    "load_yaml",
    "load_yaml_file",
]
