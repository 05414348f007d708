"""Signing keys: published before they sign, and until their last token has expired; encrypted if asked for."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_auth import (
    InvalidCredentials,
    MemoryAuthStore,
    NoSigningKey,
    RefreshReused,
    RefreshTokens,
    SigningKeyRecord,
    SqliteAuthStore,
    UnknownKey,
    Users,
)
from maestro_core_auth._tokens._ring import ring
from maestro_core_auth.testing import ManualClock
from maestro_core_auth.tokens import AccessRules, AccessTokens, SigningKeys, TokenLogins

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = AccessRules("https://auth.example", "https://api.example")


@given(st.lists(st.integers(-100, 100), unique=True, max_size=8), st.integers(-120, 300), st.integers(0, 50))
def test_one_key_signs_and_the_published_ones_are_those_around_it(starts: list[int], at: int, verify_for: int) -> None:
    """At any time: one active key at most, every later one is next, and each earlier one stays for its time."""
    records = [SigningKeyRecord(str(start), "", NOW, NOW + timedelta(seconds=start)) for start in starts]
    found = {
        int(key.record.kid): key.state
        for key in ring(records, NOW + timedelta(seconds=at), timedelta(seconds=verify_for))
    }
    begun = sorted(start for start in starts if start <= at)
    assert [kid for kid, state in found.items() if state == "active"] == begun[-1:]
    assert {kid for kid, state in found.items() if state == "next"} == {start for start in starts if start > at}
    retired = {one for one, following in pairwise(begun) if at < following + verify_for}
    assert {kid for kid, state in found.items() if state == "retired"} == retired


class World:
    """Keys in a store, with a clock."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.store = MemoryAuthStore()
        self.keys = SigningKeys(self.store, clock=self.clock, **settings)
        self.tokens = AccessTokens(self.keys, RULES, clock=self.clock)

    async def states(self) -> list[str]:
        return [key.state for key in await self.keys.published()]


async def test_before_the_first_rotation_nothing_is_signed() -> None:
    world = World()
    with pytest.raises(NoSigningKey):
        await world.tokens.issue("ada", ())
    assert await world.keys.jwks() == {"keys": []}


async def test_a_rotation_from_beginning_to_end() -> None:
    """Published, then active, then retired, then gone; tokens of either key are good all the while."""
    world = World(lead_s=3600)
    first = await world.keys.rotate()
    old_token = await world.tokens.issue("ada", ())
    second = await world.keys.rotate()
    assert (await world.states(), (await world.keys.signer())[0]) == (["active", "next"], first)
    assert [key["kid"] for key in (await world.keys.jwks())["keys"]] == [first, second]
    world.clock.advance(3599)
    last_token = await world.tokens.issue("ada", ())
    world.clock.advance(1)
    assert (await world.states(), (await world.keys.signer())[0]) == (["retired", "active"], second)
    assert (await world.tokens.verify(last_token)).subject == "ada"
    with pytest.raises(InvalidCredentials):
        await world.tokens.verify(old_token)
    world.clock.advance(3600 + 120)
    assert (await world.states(), await world.keys.prune()) == (["active"], 1)
    assert [record.kid for record in await world.store.signing_keys()] == [second]


async def test_rotating_while_a_key_waits_makes_no_other() -> None:
    """Every process may call it, as often as it likes, at the same time."""
    world = World()
    first = await world.keys.rotate()
    others = [SigningKeys(world.store, clock=world.clock) for _ in range(5)]
    made = await asyncio.gather(*(keys.rotate() for keys in others))
    assert len({*made}) == 1
    assert [record.kid for record in await world.store.signing_keys()] == [first, made[0]]


async def test_a_leaked_key_is_removed_and_its_tokens_with_it() -> None:
    """Another one signs at once; what is known elsewhere follows when it is read again."""
    world = World()
    leaked = await world.keys.rotate()
    token = await world.tokens.issue("ada", ())
    elsewhere = AccessTokens(SigningKeys(world.store, clock=world.clock), RULES, clock=world.clock)
    assert await elsewhere.verify(token)
    await world.keys.remove(leaked)
    with pytest.raises(InvalidCredentials):
        await world.tokens.verify(token)
    world.clock.advance(5)
    with pytest.raises(InvalidCredentials):
        await elsewhere.verify(token)
    assert await elsewhere.verify(await world.tokens.issue("ada", ()))
    with pytest.raises(UnknownKey):
        await world.keys.remove(leaked)


async def test_the_document_holds_no_private_part() -> None:
    """Of no key; each has its kid, its use and its one algorithm."""
    world = World()
    await world.keys.rotate()
    await world.keys.rotate()
    for key in (await world.keys.jwks())["keys"]:
        assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
        assert (key["use"], key["alg"], key["crv"]) == ("sig", "Ed25519", "Ed25519")


async def test_private_keys_are_encrypted_if_asked_for(tmp_path: Path) -> None:
    """With the passphrase another process reads them; without it nobody does."""
    async with SqliteAuthStore(tmp_path / "auth.db") as store:
        keys = SigningKeys(store, passphrase="a long passphrase")
        kid = await keys.rotate()
        assert (await store.signing_keys())[0].private_pem.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert (await SigningKeys(store, passphrase="a long passphrase").signer())[0] == kid
        for wrong in (None, "another"):
            with pytest.raises((ValueError, TypeError)):
                await SigningKeys(store, passphrase=wrong).signer()


def test_a_key_cannot_sign_before_others_have_seen_it() -> None:
    with pytest.raises(ValueError, match="lead_s must be at least reread_s"):
        SigningKeys(MemoryAuthStore(), lead_s=1)


async def test_a_login_with_tokens_from_beginning_to_end() -> None:
    """Start, refresh with the roles of that moment, logout; replaying a refresh token ends it too."""
    world = World()
    await world.keys.rotate()
    users = Users(world.store)
    await users.add("ada", {"viewer"})
    logins = TokenLogins(world.tokens, RefreshTokens(world.store, clock=world.clock))
    first = await logins.start("ada", scopes={"workflow:*"}, client_id="cli")
    assert first.expires_in_s == 600
    assert first.access_token not in repr(first)
    await users.set_roles("ada", {"operator"})
    second = await logins.refresh(first.refresh_token)
    principal = await world.tokens.verify(second.access_token)
    assert (principal.roles, principal.scopes) == (frozenset({"operator"}), frozenset({"workflow:*"}))
    with pytest.raises(RefreshReused):
        await logins.refresh(first.refresh_token)
    with pytest.raises(InvalidCredentials):
        await logins.refresh(second.refresh_token)
    third = await logins.start("ada")
    await logins.logout(third.refresh_token)
    with pytest.raises(InvalidCredentials):
        await logins.refresh(third.refresh_token)
