"""What this package raises.

ApiError                       api
├── InvalidProblems (ValueError)  api.invalid-problems    a table of problems that cannot hold; names every fault
├── InvalidApi      (ValueError)  api.invalid-api         an app that cannot be served as it is put together
├── UnknownApp      (LookupError) api.unknown-app         `module:factory` leads to no app
├── CannotServe     (OSError)     api.cannot-serve        cannot listen as told; says what to do
├── BadStore        (OSError)     api.bad-store           a file of idempotency keys that this version cannot use
├── AnswerNotKept                 api.answer-not-kept     an idempotent route answered what cannot be kept
└── RequestRefused                request.refused         how a request was made, not what it asked for
    ├── IdempotencyKeyMissing     request.idempotency-key-missing      the route wants the header
    ├── BadIdempotencyKey         request.bad-idempotency-key          not a structured-field string
    ├── IdempotencyKeyReused      request.idempotency-key-reused       the key came before with another payload
    ├── IdempotencyKeyInFlight    request.idempotency-key-in-flight    retryable: the first request still runs
    ├── IdempotencyUnavailable    request.idempotency-unavailable      retryable: the store is busy or full
    ├── BodyTooLargeForKey        request.body-too-large-for-key       more than is fingerprinted
    ├── BadCursor                 request.bad-cursor                   not given out by this listing, or too old
    ├── BadEntityTag              request.bad-entity-tag               If-Match or If-None-Match that cannot be read
    ├── PreconditionRequired      request.precondition-required        the route wants If-Match
    ├── PreconditionFailed        request.precondition-failed          the thing changed since it was read
    ├── RateLimitExceeded         request.too-many                     retryable: too many requests from this caller
    └── PastSunset                request.gone                         the route was withdrawn
"""

from typing import ClassVar


class ApiError(Exception):
    """Root of everything this package raises; `retry_after_s` is None when no time is known."""

    code: ClassVar[str] = "api"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvalidProblems(ApiError, ValueError):
    """A table of problems is wrong: a code or status that cannot be, or a code that is mapped twice."""

    code = "api.invalid-problems"


class InvalidApi(ApiError, ValueError):
    """The parts of an app do not fit together."""

    code = "api.invalid-api"


class UnknownApp(ApiError, LookupError):
    """`module:factory` names no module, no factory, or something that gives no app."""

    code = "api.unknown-app"


class CannotServe(ApiError, OSError):
    """The server cannot listen as it was told; the message says what to do."""

    code = "api.cannot-serve"


class BadStore(ApiError, OSError):
    """The file is no store of idempotency keys, or one of a newer version; it is left as it was."""

    code = "api.bad-store"


class AnswerNotKept(ApiError):
    """An idempotent route gave an answer that cannot be kept: a stream, or one above the limit. Its effect happened."""

    code = "api.answer-not-kept"


class RequestRefused(ApiError):
    """The request was not answered because of how it was made."""

    code = "request.refused"


class IdempotencyKeyMissing(RequestRefused):
    """The route wants an Idempotency-Key."""

    code = "request.idempotency-key-missing"


class BadIdempotencyKey(RequestRefused):
    """The Idempotency-Key is no structured-field string of 1 to 255 characters."""

    code = "request.bad-idempotency-key"


class IdempotencyKeyReused(RequestRefused):
    """The key was used before, by the same caller on the same route, with another payload."""

    code = "request.idempotency-key-reused"


class IdempotencyKeyInFlight(RequestRefused):
    """The first request with this key has not ended; `retry_after_s` is when to ask again."""

    code = "request.idempotency-key-in-flight"
    retryable = True


class IdempotencyUnavailable(RequestRefused):
    """The store of the keys is busy or full, so nothing was begun."""

    code = "request.idempotency-unavailable"
    retryable = True


class BodyTooLargeForKey(RequestRefused):
    """The body is larger than what an idempotent route takes."""

    code = "request.body-too-large-for-key"


class BadCursor(RequestRefused):
    """The cursor was not given out for this listing with these filters, was changed, or is too old."""

    code = "request.bad-cursor"


class BadEntityTag(RequestRefused):
    """If-Match or If-None-Match is neither `*` nor a list of entity tags."""

    code = "request.bad-entity-tag"


class PreconditionRequired(RequestRefused):
    """The route wants If-Match, with the ETag of what the caller has read."""

    code = "request.precondition-required"


class PreconditionFailed(RequestRefused):
    """What is there is not what the caller has read; read it again, then decide."""

    code = "request.precondition-failed"


class RateLimitExceeded(RequestRefused):
    """A policy has no request left for this caller; `policies` names those that refused."""

    code = "request.too-many"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float, policies: tuple[str, ...] = ()) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.policies = policies


class PastSunset(RequestRefused):
    """The route was withdrawn at its announced time."""

    code = "request.gone"
