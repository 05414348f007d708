"""Get-or-compute with single flight, stale-while-revalidate, early refresh and tags, in memory and in Redis."""

from maestro_cache._async_cache import AsyncCache
from maestro_cache._cache import Cache
from maestro_cache._decide import (
    Decision,
    EarlyRefresh,
    Entry,
    Fresh,
    Miss,
    Outcome,
    Raised,
    StaleRefresh,
    Value,
    decide,
)
from maestro_cache._decorate import AsyncCachedFunction, CachedFunction
from maestro_cache._errors import (
    CacheClosed,
    CacheError,
    ComputeCancelled,
    InvalidKey,
    InvalidPolicy,
    NotStorable,
    RecursiveCompute,
    StoreError,
    StoreRefused,
    StoreUnavailable,
    WrongLoop,
)
from maestro_cache._events import (
    Event,
    ForeignValue,
    Listener,
    NotStored,
    RefreshFailed,
    StoreFailed,
    StoreRecovered,
    log_event,
)
from maestro_cache._key import Key, KeyPart
from maestro_cache._memory import MemoryStore
from maestro_cache._policy import Policy
from maestro_cache._serialise import JsonSerialiser, Serialiser
from maestro_cache._stats import CacheStats
from maestro_cache._store import AsyncStore, Claim, Draft, Reading, Stamps, Store

__all__ = [
    "AsyncCache",
    "AsyncCachedFunction",
    "AsyncStore",
    "Cache",
    "CacheClosed",
    "CacheError",
    "CacheStats",
    "CachedFunction",
    "Claim",
    "ComputeCancelled",
    "Decision",
    "Draft",
    "EarlyRefresh",
    "Entry",
    "Event",
    "ForeignValue",
    "Fresh",
    "InvalidKey",
    "InvalidPolicy",
    "JsonSerialiser",
    "Key",
    "KeyPart",
    "Listener",
    "MemoryStore",
    "Miss",
    "NotStorable",
    "NotStored",
    "Outcome",
    "Policy",
    "Raised",
    "Reading",
    "RecursiveCompute",
    "RefreshFailed",
    "Serialiser",
    "StaleRefresh",
    "Stamps",
    "Store",
    "StoreError",
    "StoreFailed",
    "StoreRecovered",
    "StoreRefused",
    "StoreUnavailable",
    "Value",
    "WrongLoop",
    "decide",
    "log_event",
]
