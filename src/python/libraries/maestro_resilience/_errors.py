"""What this package raises.

    ResilienceError                    resilience
    ├── InvalidPolicy  (ValueError)    resilience.invalid-policy     made with bad parameters; holds every problem
    ├── WrongCall      (TypeError)     resilience.wrong-call         called in a way that this policy cannot serve
    ├── UnknownPipeline (LookupError)  resilience.unknown-pipeline   no pipeline of that name
    ├── PipelineExists (ValueError)    resilience.pipeline-exists    define() of a name that is taken
    ├── CallRefused                    resilience.call-refused       retryable: the function was never called
    │   ├── CircuitOpen                resilience.circuit-open       retryable
    │   ├── BulkheadFull               resilience.bulkhead-full      retryable
    │   └── RateLimited                resilience.rate-limited       retryable
    ├── TimedOut       (TimeoutError)  resilience.timed-out          retryable
    │   └── DeadlinePassed             resilience.deadline-passed    the whole call has no time left: no retry can help
    ├── ResultRejected                 resilience.result-rejected    retryable: `on_result` held at the last attempt too
    └── InjectedFault                  resilience.injected-fault     retryable: raised by chaos on purpose

Everything else that leaves a policy is the caller's own exception, the very object that was raised.
"""

from dataclasses import dataclass
from typing import ClassVar


class ResilienceError(Exception):
    """Root of everything this package raises; `retry_after_s` is None when no time is known."""

    code: ClassVar[str] = "resilience"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy: a parameter's name, or a JSON Pointer where the policy was written as data."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '(top)'}: {self.message}"


class InvalidPolicy(ResilienceError, ValueError):
    """A policy or pipeline was made with bad parameters; `problems` holds all of them, in order."""

    code = "resilience.invalid-policy"

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class WrongCall(ResilienceError, TypeError):
    """The policy cannot serve this kind of function in this way; the message says which way can."""

    code = "resilience.wrong-call"


class UnknownPipeline(ResilienceError, LookupError):
    """No pipeline of that name is defined; the message lists those that are."""

    code = "resilience.unknown-pipeline"


class PipelineExists(ResilienceError, ValueError):
    """The name is taken; `replace` is the way to change it."""

    code = "resilience.pipeline-exists"


class CallRefused(ResilienceError):
    """A policy shed the call: the function was never called."""

    code = "resilience.call-refused"
    retryable = True


class CircuitOpen(CallRefused):
    """The circuit is open; `retry_after_s` is the time until probes are let through, None when nobody knows."""

    code = "resilience.circuit-open"


class BulkheadFull(CallRefused):
    """Every slot is taken, and so is the queue or the time to wait in it."""

    code = "resilience.bulkhead-full"


class RateLimited(CallRefused):
    """The rate is used up; `retry_after_s` is the time until the next permit."""

    code = "resilience.rate-limited"


class TimedOut(ResilienceError, TimeoutError):
    """The call did not end within its own limit."""

    code = "resilience.timed-out"
    retryable = True


class DeadlinePassed(TimedOut):
    """The ambient deadline passed, so no time is left for this call or for a retry of it."""

    code = "resilience.deadline-passed"
    retryable = False


class ResultRejected(ResilienceError):
    """`on_result` rejected the last result too; `result` is that result."""

    code = "resilience.result-rejected"
    retryable = True

    def __init__(self, message: str, *, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class InjectedFault(ResilienceError):
    """Chaos raised this on purpose."""

    code = "resilience.injected-fault"
    retryable = True

    def __init__(self, message: str = "a fault injected by chaos", *, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
