"""A socket says who it is in its first message, in time, and in one form."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_auth.example_app import POLICY

from maestro_core_auth import ApiKeys, Authenticator, InvalidCredentials, MemoryAuthStore, MissingCredentials, Users


async def opened() -> tuple[Authenticator, str]:
    store = MemoryAuthStore()
    await Users(store).add("ada", {"viewer"})
    keys = ApiKeys(store)
    return Authenticator(POLICY, api_keys=keys), (await keys.issue("ada")).secret


async def authenticate(authenticator: Authenticator, message: dict[str, Any]) -> dict[str, Any]:
    async def receive() -> dict[str, Any]:
        return message

    scope: dict[str, Any] = {"type": "websocket"}
    await authenticator.authenticate_first_message(scope, receive)
    return scope


async def test_the_first_message_tells_who_it_is() -> None:
    authenticator, secret = await opened()
    text = json.dumps({"type": "authenticate", "token": secret})
    scope = await authenticate(authenticator, {"type": "websocket.receive", "text": text})
    assert scope["state"]["principal"].subject == "ada"
    assert (await authenticator.authenticate(scope)).subject == "ada"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "token", "x"]), inner, max_size=3),
)


@given(st.one_of(st.text(max_size=50), JSON.map(json.dumps), st.just("[" * 5000), st.just("x" * 9000)))
async def test_anything_else_is_refused(text: str) -> None:
    authenticator, _ = await opened()
    with pytest.raises(InvalidCredentials):
        await authenticate(authenticator, {"type": "websocket.receive", "text": text})


async def test_bytes_are_no_first_message() -> None:
    authenticator, _ = await opened()
    with pytest.raises(InvalidCredentials):
        await authenticate(authenticator, {"type": "websocket.receive", "bytes": b"x"})
    with pytest.raises(MissingCredentials):
        await authenticate(authenticator, {"type": "websocket.disconnect", "code": 1001})


async def test_who_says_nothing_is_not_waited_for_longer_than_the_limit() -> None:
    authenticator, _ = await opened()

    async def receive() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never comes

    with pytest.raises(MissingCredentials):
        await authenticator.authenticate_first_message({"type": "websocket"}, receive, within_s=0.01)
