"""The HTTP edge of a service on FastAPI: problems, health, limits, drain, and a contract that is kept."""

from maestro_core_api._answers import SECURITY_HEADERS, HeadAsGet, SecurityHeaders
from maestro_core_api._api import BaseAPI, create_api
from maestro_core_api._client_address import ClientAddress
from maestro_core_api._compatibility import breaking_changes
from maestro_core_api._contract import contract_text, export_contract, load_app
from maestro_core_api._cursor import CursorSigner, Position
from maestro_core_api._deprecation import Deprecated, Deprecations
from maestro_core_api._drain import Drain, InFlight
from maestro_core_api._errors import (
    AnswerNotKept,
    ApiError,
    BadCursor,
    BadEntityTag,
    BadIdempotencyKey,
    BadStore,
    BodyTooLargeForKey,
    CannotServe,
    IdempotencyKeyInFlight,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    IdempotencyUnavailable,
    InvalidApi,
    InvalidProblems,
    PastSunset,
    PreconditionFailed,
    PreconditionRequired,
    RateLimitExceeded,
    RequestRefused,
    UnknownApp,
)
from maestro_core_api._etag import ETag, Verdict, etag_of, parse_etag, parse_etags, verdict
from maestro_core_api._gate import LOOPBACK_NAMES, Cors, Gate, Trust
from maestro_core_api._health import Readiness, ReadinessReport
from maestro_core_api._idempotency import Idempotency, idempotent
from maestro_core_api._idempotency_law import Claim, IdempotencyStore, KeptAnswer, KeyRecord, KeyState, judged
from maestro_core_api._idempotency_memory import MemoryIdempotencyStore
from maestro_core_api._idempotency_sqlite import SqliteIdempotencyStore
from maestro_core_api._limits import BodyLimit, Deadline
from maestro_core_api._named import Named
from maestro_core_api._pages import Page, PageRequest, pages
from maestro_core_api._preconditions import preconditions
from maestro_core_api._problem import FieldProblem, Problem
from maestro_core_api._problem_table import BUILT_IN, DeclaredProblem, ProblemTable, ProblemType, problems
from maestro_core_api._problems import Problems
from maestro_core_api._rate_limit import (
    MemoryRateLimitStore,
    RateLimitDecision,
    RateLimitPolicy,
    RateLimitStore,
)
from maestro_core_api._rate_limits import RateLimits, by_address, by_principal, rate_limit
from maestro_core_api._route_docs import RouteDocs, documented
from maestro_core_api._settings import ApiSettings
from maestro_core_api._strict_json import StrictJson

__all__ = [
    "BUILT_IN",
    "LOOPBACK_NAMES",
    "SECURITY_HEADERS",
    "AnswerNotKept",
    "ApiError",
    "ApiSettings",
    "BadCursor",
    "BadEntityTag",
    "BadIdempotencyKey",
    "BadStore",
    "BaseAPI",
    "BodyLimit",
    "BodyTooLargeForKey",
    "CannotServe",
    "Claim",
    "ClientAddress",
    "Cors",
    "CursorSigner",
    "Deadline",
    "DeclaredProblem",
    "Deprecated",
    "Deprecations",
    "Drain",
    "ETag",
    "FieldProblem",
    "Gate",
    "HeadAsGet",
    "Idempotency",
    "IdempotencyKeyInFlight",
    "IdempotencyKeyMissing",
    "IdempotencyKeyReused",
    "IdempotencyStore",
    "IdempotencyUnavailable",
    "InFlight",
    "InvalidApi",
    "InvalidProblems",
    "KeptAnswer",
    "KeyRecord",
    "KeyState",
    "MemoryIdempotencyStore",
    "MemoryRateLimitStore",
    "Named",
    "Page",
    "PageRequest",
    "PastSunset",
    "Position",
    "PreconditionFailed",
    "PreconditionRequired",
    "Problem",
    "ProblemTable",
    "ProblemType",
    "Problems",
    "RateLimitDecision",
    "RateLimitExceeded",
    "RateLimitPolicy",
    "RateLimitStore",
    "RateLimits",
    "Readiness",
    "ReadinessReport",
    "RequestRefused",
    "RouteDocs",
    "SecurityHeaders",
    "SqliteIdempotencyStore",
    "StrictJson",
    "Trust",
    "UnknownApp",
    "Verdict",
    "breaking_changes",
    "by_address",
    "by_principal",
    "contract_text",
    "create_api",
    "documented",
    "etag_of",
    "export_contract",
    "idempotent",
    "judged",
    "load_app",
    "pages",
    "parse_etag",
    "parse_etags",
    "preconditions",
    "problems",
    "rate_limit",
    "verdict",
]
