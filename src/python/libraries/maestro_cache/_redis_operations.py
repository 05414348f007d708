"""What the stores ask of Redis, written once for both clients; knows commands and scripts, and no client.

Names in Redis: an entry is `maestro-cache:KEY`; beside it, while its function runs and for a time after a
deletion, are `…|lease` (who may run it) and `…|fence` (the token of the key); a tag's token is `maestro-cache:TAG`.
Tokens are random: one that was evicted or lost never comes back, so what was stored with it is never served again.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from maestro_cache._errors import StoreRefused
from maestro_cache._redis_format import Foreign, Stored, decode, encode, milliseconds
from maestro_cache._serialise import Serialiser
from maestro_cache._store import Claim, Draft, Reading

READ: Final = """
local payload = redis.pcall('GET', KEYS[1])
if type(payload) == 'table' then payload = '' end
local answer = {payload, redis.call('PTTL', KEYS[1])}
for i = 2, #KEYS do
  local token = redis.pcall('GET', KEYS[i])
  answer[i + 1] = type(token) == 'string' and token
end
return answer
"""
"""KEYS: entry, fence, tags. Only reads, so replicas and full servers take it. False is a nil that ends no list."""

CLAIM: Final = """
local granted = 1
if ARGV[2] ~= '0' and not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then granted = 0 end
local payload = redis.pcall('GET', KEYS[1])
if type(payload) == 'table' then payload = '' end
local answer = {granted, payload, redis.call('PTTL', KEYS[1])}
for i = 3, #KEYS do
  local token = redis.pcall('GET', KEYS[i])
  if type(token) ~= 'string' then
    token = ARGV[1]
    redis.call('SET', KEYS[i], token, 'PX', ARGV[3])
  elseif redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
  answer[i + 1] = token
end
return answer
"""
"""KEYS: entry, lease, fence, tags. ARGV: token, ms of the lease or 0, ms that tokens live at least."""

TOKENS: Final = "return redis.call('MGET', unpack(KEYS))"
"""KEYS: tags."""

WRITE: Final = """
local holds = 1
for i = 3, #KEYS do
  if redis.pcall('GET', KEYS[i]) ~= ARGV[i + 1] then holds = 0 end
end
if holds == 1 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  for i = 4, #KEYS do
    if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
  end
  redis.call('DEL', KEYS[3])
end
if redis.pcall('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return holds
"""
"""KEYS: entry, lease, fence, tags. ARGV: token of the lease, bytes, ms to live, tokens of fence and tags."""

RELEASE: Final = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1], KEYS[2]) end
return 1
"""
"""KEYS: lease, fence. ARGV: token of the lease."""

INVALIDATE: Final = """
for i = 1, tonumber(ARGV[3]) do redis.call('DEL', KEYS[i]) end
for i = tonumber(ARGV[3]) + 1, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
end
return 1
"""
"""KEYS: entries and leases, then fences and tags. ARGV: new token, ms that it lives, how many of the former.

DEL comes first because a full Redis takes it, and lets a script that has begun to write go on.
"""

_PREFIX: Final = "maestro-cache:"

Argument = str | bytes | int


class Link(Protocol):
    """One Redis, by some client."""

    async def script(self, text: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        """The reply of a script; raises StoreError."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The methods of AsyncStore over a link."""

    link: Link
    now_s: Callable[[], float]
    serialiser: Serialiser
    max_value_bytes: int
    max_compute_s: float

    async def read(self, key: str, tags: Sequence[str]) -> Reading:
        now_s = self.now_s()
        names = _names(key, tags)
        data, ttl_ms, *tokens = await self._answer(READ, (names.entry, *names.marks), (), 2 + len(names.marks))
        return await self._reading(key, tags, data, ttl_ms, tokens, now_s)

    async def claim(self, key: str, tags: Sequence[str], lease_s: float | None) -> Claim:
        now_s = self.now_s()
        token = secrets.token_hex(12)
        names = _names(key, tags)
        lease_ms = 0 if lease_s is None else milliseconds(lease_s)
        granted, data, ttl_ms, *tokens = await self._answer(
            CLAIM,
            (names.entry, names.lease, *names.marks),
            (token, str(lease_ms), str(milliseconds(self.max_compute_s))),
            3 + len(names.marks),
        )
        reading = await self._reading(key, tags, data, ttl_ms, tokens, now_s)
        return Claim(reading.entry, reading.stamps, granted == 1, token, reading.problem)

    async def write(self, key: str, draft: Draft, claim: Claim) -> bool:
        tags = {name: token for name, token in claim.stamps.items() if name != key}
        data = encode(draft, claim.token, tags, self.serialiser, self.max_value_bytes)
        names = _names(key, tuple(tags))
        tokens = [str(token) for token in (claim.stamps[key], *tags.values())]
        life_ms = milliseconds(draft.fresh_s + draft.stale_s)
        return (
            await self.link.script(
                WRITE, (names.entry, names.lease, *names.marks), (claim.token, data, str(life_ms), *tokens)
            )
            == 1
        )

    async def release(self, key: str, claim: Claim) -> None:
        names = _names(key, ())
        await self.link.script(RELEASE, (names.lease, names.marks[0]), (claim.token,))

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str]) -> None:
        entries = [_names(key, ()) for key in keys]
        marks = [*(names.marks[0] for names in entries), *(_PREFIX + tag for tag in tags)]
        await self.link.script(
            INVALIDATE,
            (*(names.entry for names in entries), *(names.lease for names in entries), *marks),
            (secrets.token_hex(12), str(milliseconds(self.max_compute_s)), str(2 * len(entries))),
        )

    async def _answer(
        self, script: str, keys: Sequence[str], arguments: Sequence[Argument], length: int
    ) -> list[object]:
        answer = await self.link.script(script, keys, arguments)
        if not isinstance(answer, list) or len(answer) != length:
            raise StoreRefused("redis answered in an unknown shape")
        return answer

    async def _reading(
        self, key: str, tags: Sequence[str], data: object, ttl_ms: object, tokens: list[object], now_s: float
    ) -> Reading:
        stamps = {name: _token(token) for name, token in zip((key, *tags), tokens, strict=True)}
        if data is None:
            return Reading(None, stamps)
        try:
            if not isinstance(data, bytes) or not isinstance(ttl_ms, int):
                raise Foreign("a value of another type")
            if ttl_ms == -2:
                return Reading(None, stamps)
            stored = decode(data, ttl_ms, now_s, self.serialiser)
        except Foreign as error:
            return Reading(None, stamps, problem=str(error))
        return Reading(stored.entry if await self._holds(stored, stamps) else None, stamps)

    async def _holds(self, stored: Stored, stamps: Mapping[str, object]) -> bool:
        """Whether its tags still have the tokens that they had; asks for tags that the caller did not name."""
        unknown = [tag for tag in stored.tags if tag not in stamps]
        if unknown:
            tokens = await self._answer(TOKENS, [_PREFIX + tag for tag in unknown], (), len(unknown))
            stamps = {**stamps, **{tag: _token(token) for tag, token in zip(unknown, tokens, strict=True)}}
        return all(stamps[tag] == token for tag, token in stored.tags.items())


@dataclass(frozen=True, slots=True)
class _Names:
    entry: str
    lease: str
    marks: tuple[str, ...]


def _names(key: str, tags: Sequence[str]) -> _Names:
    entry = _PREFIX + key
    return _Names(entry, entry + "|lease", (entry + "|fence", *(_PREFIX + tag for tag in tags)))


def _token(reply: object) -> str | None:
    return reply.decode("ascii", "replace") if isinstance(reply, bytes) else None
