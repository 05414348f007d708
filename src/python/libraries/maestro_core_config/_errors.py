"""Errors of the settings library.

ConfigError
├── InvalidSettings      a load found problems; it holds all of them, each with its origin
├── UnknownSetting       a question about a setting that the class does not have
├── BadSettingsClass     a settings class that could not keep our promises, found when it is defined
├── SettingsAreFrozen    an attempt to change settings after they were loaded
├── NotComparable        a diff between settings of two different classes
└── SecretNotPickled     an attempt to pickle a secret
"""

from typing import ClassVar

from maestro_core_config._origin import Problem


class ConfigError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "config.error"
    retryable: ClassVar[bool] = False


class InvalidSettings(ConfigError):
    """The settings cannot be loaded; `problems` lists every reason, in the order of the layers."""

    code = "config.invalid-settings"

    def __init__(self, title: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{count} in {title}", *(f"  {problem}" for problem in problems)]))


class UnknownSetting(ConfigError):
    """There is no setting of that name."""

    code = "config.unknown-setting"


class BadSettingsClass(ConfigError):
    """The class cannot keep the promises of this package; the message says which field and what to write."""

    code = "config.bad-settings-class"


class SettingsAreFrozen(ConfigError):
    """Settings do not change after they were loaded; load them again with overrides."""

    code = "config.settings-are-frozen"


class NotComparable(ConfigError):
    """Only settings of one class can be compared."""

    code = "config.not-comparable"


class SecretNotPickled(ConfigError):
    """A pickle would hold the secret in clear text."""

    code = "config.secret-not-pickled"
