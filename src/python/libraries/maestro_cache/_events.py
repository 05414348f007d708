"""What a cache tells: small frozen events, given to its listener as they happen."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from maestro_cache._errors import CacheError, StoreError

_log = logging.getLogger("maestro_cache")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the cache of `namespace`."""

    type: ClassVar[str] = "cache.event"
    namespace: str


@dataclass(frozen=True, slots=True)
class RefreshFailed(Event):
    """A function failed when nobody waited for it: in a background refresh, or after all who waited had gone."""

    type: ClassVar[str] = "cache.refresh_failed"
    key: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class StoreFailed(Event):
    """The store did not do `operation`, and the cache went on without it."""

    type: ClassVar[str] = "cache.store_failed"
    operation: str
    error: StoreError


@dataclass(frozen=True, slots=True)
class StoreRecovered(Event):
    """The store answers again, and all invalidations that it was owed are delivered."""

    type: ClassVar[str] = "cache.store_recovered"


@dataclass(frozen=True, slots=True)
class NotStored(Event):
    """The caller got the value, and the store cannot hold it."""

    type: ClassVar[str] = "cache.not_stored"
    key: str
    error: CacheError


@dataclass(frozen=True, slots=True)
class ForeignValue(Event):
    """Under the key was something that this cache did not write, or cannot read; it counts as nothing."""

    type: ClassVar[str] = "cache.foreign_value"
    key: str
    problem: str


Listener: TypeAlias = Callable[[Event], object]


def log_event(event: Event) -> None:
    """The listener unless another is given: one record for each event, without keys, values or texts of errors."""
    error = getattr(event, "error", None)
    level = logging.INFO if isinstance(event, StoreRecovered) else logging.WARNING
    _log.log(
        level,
        "%s namespace=%s operation=%s error=%s",
        event.type,
        event.namespace,
        getattr(event, "operation", "-"),
        "-" if error is None else getattr(error, "code", type(error).__name__),
    )


def tell(listener: Listener, event: Event) -> None:
    """Give the event to the listener; one that raises is logged and breaks nothing."""
    try:
        listener(event)
    except Exception:
        _log.exception("cache.listener_failed event=%s", event.type)
