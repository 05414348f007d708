"""API keys: shown once, stored as a digest, narrowed, ended in time, and told apart from guesses by nothing."""

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_auth.attacks import flipped, mangled

from maestro_core_auth import (
    CREDENTIAL_PATTERN,
    EVERY_SCOPE,
    ApiKeys,
    AuthEvent,
    InvalidCredentials,
    InvalidGrant,
    IssuedKey,
    MemoryAuthStore,
    Principal,
    Sessions,
    UnknownKey,
    UnknownUser,
    Users,
    is_well_formed,
)
from maestro_core_auth._opaque import LENGTH, mint
from maestro_core_auth.testing import ManualClock, seeded_bytes

DAY_S = 86_400.0


class World:
    """A store with a user, and what issues keys for him."""

    def __init__(self, pepper: bytes = b"") -> None:
        self.clock = ManualClock()
        self.store = MemoryAuthStore()
        self.heard: list[AuthEvent] = []
        self.users = Users(self.store, clock=self.clock, listener=self.heard.append)
        given: dict[str, Any] = {"clock": self.clock, "random_bytes": seeded_bytes(1), "listener": self.heard.append}
        self.keys = ApiKeys(self.store, pepper=pepper, **given)
        self.sessions = Sessions(self.store, pepper=pepper, **given)

    async def key(self, **asked: Any) -> IssuedKey:
        if await self.store.user("ada") is None:
            await self.users.add("ada", {"operator", "viewer"})
        return await self.keys.issue("ada", **asked)


async def reason_of(keys: ApiKeys | Sessions, secret: str) -> str:
    """Why a credential is refused; what the caller is told is always the same."""
    with pytest.raises(InvalidCredentials) as caught:
        await keys.verify(secret)
    assert type(caught.value) is InvalidCredentials
    assert str(caught.value) == "The credentials are not valid."
    return caught.value.reason


async def test_a_key_says_who_and_what() -> None:
    world = World()
    issued = await world.key(roles={"operator"}, scopes={"workflow:read"}, label="CI", lifetime_s=60)
    principal = await world.keys.verify(issued.secret)
    expires_at = world.clock() + timedelta(seconds=60)
    roles, scopes = frozenset({"operator"}), frozenset({"workflow:read"})
    assert principal == Principal("ada", "key", roles, scopes, issued.record.id, expires_at)


async def test_by_default_a_key_has_all_of_its_owner() -> None:
    world = World()
    principal = await world.keys.verify((await world.key()).secret)
    assert (principal.roles, principal.scopes) == (frozenset({"operator", "viewer"}), EVERY_SCOPE)


async def test_the_secret_is_nowhere_but_in_the_answer() -> None:
    """Not in a repr, not in the store, not in an event."""
    world = World()
    issued = await world.key()
    body = issued.secret.rsplit("_", 1)[1]
    assert body not in f"{issued} {issued!r} {world.heard} {vars(world.store)}"
    assert repr(issued.record.digest) not in repr(issued.record)


def test_a_key_has_a_form_that_scanners_find() -> None:
    """Prefix, length and checksum: a leak is found without a lookup, and so is a typing error."""
    text = mint("mst").text
    assert re.findall(CREDENTIAL_PATTERN, f"curl -H 'Authorization: Bearer {text}'") == [text]
    assert (len(text), is_well_formed(text)) == (LENGTH, True)
    assert not any(is_well_formed(text[:-1] + other) for other in "aZ09" if other != text[-1])


@given(st.data())
def test_no_changed_key_is_well_formed(data: st.DataObject) -> None:
    """A CRC finds every change of a single bit."""
    text = mint("mst", seeded_bytes(3)).text
    assert not is_well_formed(data.draw(flipped(text)))


@given(st.data())
async def test_no_changed_key_is_let_in(data: st.DataObject) -> None:
    """Bits flipped, cut, extended, in another case, or anything else."""
    world = World()
    issued = await world.key()
    assert await reason_of(world.keys, data.draw(mangled(issued.secret)))
    assert (await world.keys.verify(issued.secret)).subject == "ada"


@given(st.integers(2, 2**32))
async def test_a_guess_with_a_true_id_and_a_true_checksum_is_refused(seed: int) -> None:
    """The id is no secret: with another secret it is worth nothing."""
    world = World()
    issued = await world.key()
    guess = mint("mst", seeded_bytes(seed), issued.record.id)
    assert await reason_of(world.keys, guess.text) == "wrong secret"
    assert await reason_of(world.keys, mint("mst", seeded_bytes(seed)).text) == "unknown id"


async def test_an_unknown_id_is_compared_as_a_wrong_secret_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One comparison in constant time each, of digests of one length: time tells nobody which ids there are."""
    world, compared = World(), []
    issued = await world.key()

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    await reason_of(world.keys, mint("mst", seeded_bytes(9), issued.record.id).text)
    await reason_of(world.keys, mint("mst", seeded_bytes(9)).text)
    assert compared == [(32, 32)] * 2


async def test_no_credential_is_taken_for_another_kind() -> None:
    """A session is no API key, whichever record and digest it has."""
    world = World()
    key, session = await world.key(), await world.sessions.start("ada")
    assert await reason_of(world.keys, session.secret) == "not written as a credential of this kind"
    assert await reason_of(world.sessions, key.secret) == "not written as a credential of this kind"
    with pytest.raises(UnknownKey):
        await world.keys.revoke(session.record.id)


@given(st.sampled_from([b"", b"one pepper"]), st.sampled_from([b"another pepper", b"maestro-core-auth2"]))
async def test_a_stolen_store_is_worth_nothing_without_the_pepper(pepper: bytes, other: bytes) -> None:
    """Secrets hashed with one pepper are refused under another."""
    world = World(pepper)
    issued = await world.key()
    assert (await world.keys.verify(issued.secret)).subject == "ada"
    assert await reason_of(ApiKeys(world.store, pepper=other, clock=world.clock), issued.secret) == "wrong secret"


@given(st.floats(0.001, 1e7), st.floats(-1e7, 1e7))
async def test_a_key_lives_exactly_as_long_as_it_was_given(lifetime_s: float, passed_s: float) -> None:
    """At the moment of its expiry it is over, and a microsecond earlier it is not."""
    world = World()
    issued = await world.key(lifetime_s=lifetime_s)
    world.clock.advance(passed_s)
    if world.clock() >= issued.record.expires_at:
        assert await reason_of(world.keys, issued.secret) == "expired"
    else:
        assert (await world.keys.verify(issued.secret)).credential_id == issued.record.id
    world.clock.now = issued.record.expires_at - timedelta(microseconds=1)
    assert await world.keys.verify(issued.secret)
    world.clock.now = issued.record.expires_at
    assert await reason_of(world.keys, issued.secret) == "expired"


async def test_a_revoked_key_is_over_at_once_and_for_good() -> None:
    world = World()
    issued = await world.key()
    await world.keys.revoke(issued.record.id)
    assert await reason_of(world.keys, issued.secret) == "revoked"
    with pytest.raises(UnknownKey):
        await world.keys.revoke(issued.record.id)
    with pytest.raises(UnknownKey):
        await world.keys.rotate(issued.record.id)


async def test_what_the_owner_loses_his_keys_lose() -> None:
    """At once: a role taken away, the whole user shut out, and let in again."""
    world = World()
    issued = await world.key()
    await world.users.set_roles("ada", {"viewer", "admin"})
    assert (await world.keys.verify(issued.secret)).roles == {"viewer"}
    await world.users.set_disabled("ada", True)
    assert await reason_of(world.keys, issued.secret) == "the user is disabled"
    await world.users.set_disabled("ada", False)
    assert (await world.keys.verify(issued.secret)).roles == {"viewer"}


async def test_rotation_overlaps_and_ends() -> None:
    """Both keys work until the overlap has passed; the new one has the roles, scopes and lifetime of the old."""
    world = World()
    old = await world.key(roles={"viewer"}, scopes={"workflow:read"}, label="CI", lifetime_s=10 * DAY_S)
    world.clock.advance(DAY_S)
    new = await world.keys.rotate(old.record.id, overlap_s=60)
    assert [(await world.keys.verify(key.secret)).roles for key in (old, new)] == [{"viewer"}, {"viewer"}]
    assert (new.record.label, new.record.scopes) == ("CI", frozenset({"workflow:read"}))
    assert new.record.expires_at == world.clock() + timedelta(days=10)
    world.clock.advance(60)
    assert await reason_of(world.keys, old.secret) == "expired"
    assert await world.keys.verify(new.secret)
    with pytest.raises(UnknownKey):
        await world.keys.rotate(old.record.id)


async def test_an_overlap_does_not_prolong_a_life() -> None:
    world = World()
    old = await world.key(lifetime_s=30)
    await world.keys.rotate(old.record.id, overlap_s=3600)
    world.clock.advance(30)
    assert await reason_of(world.keys, old.secret) == "expired"
    with pytest.raises(InvalidGrant):
        await world.keys.rotate(old.record.id, overlap_s=-1)


@pytest.mark.parametrize(
    "asked",
    [
        {"roles": {"admin"}},
        {"roles": {"No Role"}},
        {"scopes": {"workflow"}},
        {"scopes": {"work*:read"}},
        {"lifetime_s": 0},
        {"lifetime_s": -1},
        {"lifetime_s": float("inf")},
        {"lifetime_s": float("nan")},
        {"label": "x" * 201},
        {"label": "a\nb"},
    ],
    ids=str,
)
async def test_a_key_that_makes_no_sense_is_not_issued(asked: dict[str, Any]) -> None:
    world = World()
    with pytest.raises(InvalidGrant):
        await world.key(**asked)
    assert await world.keys.list() == []


async def test_a_key_needs_an_owner() -> None:
    with pytest.raises(UnknownUser):
        await World().keys.issue("nobody")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"roles": {"viewer"}, "scopes": {"workflow:read"}}, True),
        ({"roles": {"viewer"}, "scopes": {"workflow:*"}}, True),
        ({"roles": {"viewer"}, "scopes": {"*"}}, False),
        ({"roles": {"viewer"}, "scopes": {"audit:read"}}, False),
        ({"roles": {"operator"}, "scopes": {"workflow:read"}}, False),
        ({}, False),
    ],
    ids=str,
)
async def test_nobody_gives_away_more_than_he_has(asked: dict[str, Any], given: bool) -> None:
    """A narrowed key cannot make itself a wider one."""
    world = World()
    by = Principal("ada", "key", frozenset({"viewer"}), frozenset({"workflow:*"}))
    if given:
        assert await world.key(by=by, **asked)
    else:
        with pytest.raises(InvalidGrant):
            await world.key(by=by, **asked)


async def test_nobody_gets_more_by_rotating_the_key_of_another() -> None:
    """Who rotates sees the new secret, so he has what the key has, or the key stays as it is."""
    world = World()
    issued = await world.key(scopes={"workflow:*"})
    for by in (
        Principal("eve", "key", frozenset({"viewer"}), EVERY_SCOPE),
        Principal("eve", "key", frozenset({"operator", "viewer"}), frozenset({"workflow:read"})),
    ):
        with pytest.raises(InvalidGrant, match="more roles or wider scopes"):
            await world.keys.rotate(issued.record.id, by=by)
    assert [record.id for record in await world.keys.list()] == [issued.record.id]
    root = Principal("root", "key", frozenset({"admin", "operator", "viewer"}), EVERY_SCOPE)
    assert (await world.keys.rotate(issued.record.id, by=root)).record.subject == "ada"
    assert world.heard[-1].reason.endswith("by root")


async def test_the_last_use_is_noted_coarsely() -> None:
    """Once a minute, not with every request."""
    world = World()
    issued = await world.key()
    seen = []
    for seconds in (0, 30, 30, 59, 1):
        world.clock.advance(seconds)
        await world.keys.verify(issued.secret)
        seen.append((await world.keys.list("ada"))[0].last_used_at)
    start = seen[0]
    assert start is not None
    assert [(at - start).total_seconds() for at in seen if at] == [0, 0, 60, 60, 120]


async def test_sessions_end_one_by_one_and_all_together() -> None:
    """With logout, with expiry, or all of a user."""
    world = World()
    await world.key()
    sessions = [await world.sessions.start("ada", lifetime_s=60) for _ in range(3)]
    await world.sessions.revoke(sessions[0].record.id)
    assert await reason_of(world.sessions, sessions[0].secret) == "revoked"
    assert (await world.sessions.verify(sessions[1].secret)).kind == "session"
    assert await world.sessions.revoke_all("ada") == 2
    assert await reason_of(world.sessions, sessions[1].secret) == "revoked"
    with pytest.raises(InvalidCredentials):
        await world.sessions.start("nobody")
    with pytest.raises(InvalidGrant):
        await world.sessions.start("ada", lifetime_s=float("inf"))


async def test_every_change_is_told() -> None:
    """For an audit log: what, whose, which, and nothing secret."""
    world = World()
    issued = await world.key()
    new = await world.keys.rotate(issued.record.id)
    await world.keys.revoke(new.record.id)
    session = await world.sessions.start("ada")
    await world.sessions.revoke(session.record.id)
    await world.users.set_disabled("ada", True)
    assert world.heard[-1].reason == "roles ['operator', 'viewer'], disabled"
    told = [(event.action, event.subject, event.credential_id) for event in world.heard]
    assert told == [
        ("user.added", "ada", ""),
        ("key.issued", "ada", issued.record.id),
        ("key.rotated", "ada", new.record.id),
        ("key.revoked", "ada", new.record.id),
        ("session.started", "ada", session.record.id),
        ("session.ended", "ada", session.record.id),
        ("user.changed", "ada", ""),
    ]
