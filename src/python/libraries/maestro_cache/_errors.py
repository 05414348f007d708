"""What this package raises.

    CacheError                             cache
    ├── InvalidPolicy     (ValueError)     cache.invalid-policy     a policy or a bound that makes no sense
    ├── InvalidKey        (TypeError)      cache.invalid-key        a part of a key, namespace or tag that cannot serve
    ├── RecursiveCompute  (RuntimeError)   cache.recursive-compute  a function waits, in the end, for its own result
    ├── ComputeCancelled                   cache.compute-cancelled  retryable: the function cancelled itself
    ├── CacheClosed       (RuntimeError)   cache.closed             used after, or waiting during, its close
    ├── WrongLoop         (RuntimeError)   cache.wrong-loop         an AsyncCache used on two event loops
    ├── NotStorable       (TypeError)      cache.not-storable       told, or raised on request: the store cannot hold it
    └── StoreError                         cache.store
        ├── StoreUnavailable               cache.store-unavailable  retryable: told, or raised on request: no answer
        └── StoreRefused                   cache.store-refused      told, or raised on request: an answer that says no

Everything else that leaves `get_or_compute` is what the function raised.
"""

from typing import ClassVar


class CacheError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "cache"
    retryable: ClassVar[bool] = False


class InvalidPolicy(CacheError, ValueError):
    """A number or a bound makes no sense; the message names it and says what would."""

    code = "cache.invalid-policy"


class InvalidKey(CacheError, TypeError):
    """A part of a key, a namespace or a tag cannot serve; the message says which and what can."""

    code = "cache.invalid-key"


class RecursiveCompute(CacheError, RuntimeError):
    """The function of this key asks, directly or through other keys, for its own result; waiting would never end."""

    code = "cache.recursive-compute"


class ComputeCancelled(CacheError):
    """The function cancelled itself; those who wait for its result are not cancelled with it."""

    code = "cache.compute-cancelled"
    retryable = True


class CacheClosed(CacheError, RuntimeError):
    """The cache was closed before this call, or while it waited."""

    code = "cache.closed"


class WrongLoop(CacheError, RuntimeError):
    """An AsyncCache belongs to the event loop on which it first computed."""

    code = "cache.wrong-loop"


class NotStorable(CacheError, TypeError):
    """The store cannot hold this value, by its type or its size; the caller has it, the cache has not."""

    code = "cache.not-storable"


class StoreError(CacheError):
    """The store did not do what was asked; `retry_after_s` is None when no time is known."""

    code = "cache.store"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(StoreError):
    """The store gave no answer in time; whether it did what was asked is unknown."""

    code = "cache.store-unavailable"
    retryable = True


class StoreRefused(StoreError):
    """The store answered with an error: it is full, read-only, or holds something foreign."""

    code = "cache.store-refused"
