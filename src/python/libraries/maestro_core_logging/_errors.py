"""Errors of the logging library; a log call itself never raises one.

LoggingError
├── InvalidOption     setup_logging() was given something that makes no sense
├── UnusableSecret    a value that cannot be masked by its text: too short, or too long
└── TooManySecrets    the bounded list of known secrets is full
"""

from typing import ClassVar


class LoggingError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "logging.error"
    retryable: ClassVar[bool] = False


class InvalidOption(LoggingError):
    """An option of the set-up is wrong; the message names it and says what is allowed."""

    code = "logging.invalid-option"


class UnusableSecret(LoggingError):
    """The value cannot be told from ordinary text, or is too long to look for in each record."""

    code = "logging.unusable-secret"


class TooManySecrets(LoggingError):
    """No more values can be registered; forget the ones that are no longer valid."""

    code = "logging.too-many-secrets"
