"""Structured logs in one shape, with request and trace ids, and without secrets."""

from maestro_core_logging._context import RequestContext, bound, carry_context, current_request, request_context
from maestro_core_logging._errors import InvalidOption, LoggingError, TooManySecrets, UnusableSecret
from maestro_core_logging._limits import Limits
from maestro_core_logging._logger import Logger, get_logger
from maestro_core_logging._rate import RateLimit
from maestro_core_logging._schema import EventSchema
from maestro_core_logging._secrets import MASK, forget_secret, register_secret
from maestro_core_logging._setup import LoggingSetup, setup_logging
from maestro_core_logging._trace import TraceContext, new_trace, parse_traceparent

__all__ = [
    "MASK",
    "EventSchema",
    "InvalidOption",
    "Limits",
    "Logger",
    "LoggingError",
    "LoggingSetup",
    "RateLimit",
    "RequestContext",
    "TooManySecrets",
    "TraceContext",
    "UnusableSecret",
    "bound",
    "carry_context",
    "current_request",
    "forget_secret",
    "get_logger",
    "new_trace",
    "parse_traceparent",
    "register_secret",
    "request_context",
    "setup_logging",
]
