"""Layered settings that know where each value comes from and never show a secret."""

from maestro_core_config._docs import json_schema, markdown_table
from maestro_core_config._errors import (
    BadSettingsClass,
    ConfigError,
    InvalidSettings,
    NotComparable,
    SecretNotPickled,
    SettingsAreFrozen,
    UnknownSetting,
)
from maestro_core_config._explain import Change, diff, explain, origin_of, origins
from maestro_core_config._files import MAX_FILE_BYTES
from maestro_core_config._folders import cache_dir, config_dir, data_dir
from maestro_core_config._load import load_settings
from maestro_core_config._origin import Layer, Origin, Problem
from maestro_core_config._secret import SecretText
from maestro_core_config._section import Section
from maestro_core_config._settings import Settings

__all__ = [
    "MAX_FILE_BYTES",
    "BadSettingsClass",
    "Change",
    "ConfigError",
    "InvalidSettings",
    "Layer",
    "NotComparable",
    "Origin",
    "Problem",
    "SecretNotPickled",
    "SecretText",
    "Section",
    "Settings",
    "SettingsAreFrozen",
    "UnknownSetting",
    "cache_dir",
    "config_dir",
    "data_dir",
    "diff",
    "explain",
    "json_schema",
    "load_settings",
    "markdown_table",
    "origin_of",
    "origins",
]
