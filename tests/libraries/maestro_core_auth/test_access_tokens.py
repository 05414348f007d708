"""Access tokens: only what we have signed, for us, now, is worth anything."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey
from libraries.maestro_core_auth.attacks import jws, jws_parts, mangled

from maestro_core_auth import EVERY_SCOPE, InvalidCredentials, MemoryAuthStore, Principal, TokenExpired
from maestro_core_auth.testing import signed
from maestro_core_auth.tokens import AccessRules, AccessTokens, SigningKeys, verify_access_token

RULES = AccessRules("https://auth.example", "https://api.example")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEADER = {"alg": "Ed25519", "typ": "at+jwt", "kid": "ours"}


@cache
def our_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


@cache
def another_key() -> OKPKey:
    return OKPKey.generate_key("Ed25519")


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, with changes; None takes one out."""
    now = int(NOW.timestamp())
    good = {
        "iss": RULES.issuer,
        "aud": RULES.audience,
        "sub": "ada",
        "exp": now + 600,
        "nbf": now,
        "iat": now,
        "jti": "token1",
        "client_id": "cli",
        "roles": ["viewer"],
        "scope": "workflow:read",
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def verify(token: str, now: datetime = NOW) -> Principal:
    return verify_access_token(token, {"ours": our_key()}, RULES, now)


def reason_of(token: str, now: datetime = NOW) -> str:
    with pytest.raises(InvalidCredentials) as caught:
        verify(token, now)
    assert type(caught.value) is InvalidCredentials
    assert str(caught.value) == "The credentials are not valid."
    return caught.value.reason


def test_a_good_token_says_who() -> None:
    principal = verify(signed(claims(), HEADER, our_key()))
    assert (principal.subject, principal.kind, principal.credential_id) == ("ada", "token", "token1")
    assert (principal.roles, principal.scopes) == (frozenset({"viewer"}), frozenset({"workflow:read"}))


async def test_what_is_issued_is_verified() -> None:
    """By RFC 9068, through a store."""
    keys = SigningKeys(MemoryAuthStore())
    await keys.rotate()
    tokens = AccessTokens(keys, RULES)
    token = await tokens.issue("ada", {"viewer"}, client_id="cli")
    header, body, _ = jws_parts(token)
    assert header == {"alg": "Ed25519", "typ": "at+jwt", "kid": (await keys.signer())[0]}
    assert set(body) == {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "roles", "scope"}
    assert body["exp"] - body["iat"] == 600
    principal = await tokens.verify(token)
    assert (principal.subject, principal.roles, principal.scopes) == ("ada", frozenset({"viewer"}), EVERY_SCOPE)


@given(st.data())
def test_no_changed_token_is_let_in(data: st.DataObject) -> None:
    """A bit flipped anywhere, in the spare bits of the last letter too, a cut, an addition, or something else."""
    token = signed(claims(), HEADER, our_key())
    assert reason_of(data.draw(mangled(token)))


def test_no_letter_of_the_signature_has_a_second_form() -> None:
    """64 bytes leave four bits of the last letter unused: none of the other fifteen spellings is taken."""
    token = signed(claims(), HEADER, our_key())
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert all(reason_of(token[:-1] + letter) for letter in letters if letter != token[-1])
    assert reason_of(token + "=")


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("keep_signature", [True, False])
def test_none_is_no_algorithm(alg: str, keep_signature: bool) -> None:
    _, body, signature = jws_parts(signed(claims(), HEADER, our_key()))
    assert reason_of(jws({**HEADER, "alg": alg}, body, signature if keep_signature else "")) == "another algorithm"


def test_our_public_key_is_no_secret_to_sign_with() -> None:
    """HS256 with any spelling of the public key: the classic confusion."""
    public = our_key().as_dict(private=False)
    secrets = [
        our_key().as_pem(private=False),
        our_key().as_pem(private=False).strip(),
        json.dumps(public).encode(),
        str(public["x"]).encode(),
    ]
    for secret in secrets:
        assert reason_of(signed(claims(), {**HEADER, "alg": "HS256"}, secret)) == "another algorithm"
        # Signed with HS256, and called by our algorithm's name.
        _, body, signature = jws_parts(signed(claims(), {**HEADER, "alg": "HS256"}, secret))
        assert reason_of(jws(HEADER, body, signature)) == "the signature does not hold"


@pytest.mark.parametrize(
    ("alg", "make"), [("RS256", lambda: RSAKey.generate_key(2048)), ("ES256", lambda: ECKey.generate_key("P-256"))]
)
def test_another_algorithm_is_refused_whatever_the_key(alg: str, make: Any) -> None:
    """Even one whose key is put among ours by mistake: the algorithm is pinned, the type of the key checked."""
    key = make()
    token = signed(claims(), {**HEADER, "alg": alg}, key)
    with pytest.raises(InvalidCredentials) as caught:
        verify_access_token(token, {"ours": key}, RULES, NOW)
    assert caught.value.reason == "another algorithm"
    _, body, signature = jws_parts(token)
    with pytest.raises(InvalidCredentials) as caught:
        verify_access_token(jws(HEADER, body, signature), {"ours": key}, RULES, NOW)
    assert caught.value.reason == "the signature does not hold"


def test_the_algorithm_has_one_name() -> None:
    """`EdDSA`, the older name of the same, is not taken either."""
    assert reason_of(signed(claims(), {**HEADER, "alg": "EdDSA"}, our_key())) == "another algorithm"


def test_anothers_key_is_refused() -> None:
    """Under our kid, under its own, and brought along in the header."""
    public = another_key().as_dict(private=False)
    assert reason_of(signed(claims(), HEADER, another_key())) == "the signature does not hold"
    assert reason_of(signed(claims(), {**HEADER, "kid": "theirs"}, another_key())) == "a key that is not ours"
    for name, value in (
        ("jwk", public),
        ("jku", "https://evil.example/jwks"),
        ("x5u", "https://evil.example/cert"),
        ("x5c", ["MII"]),
    ):
        assert (
            reason_of(signed(claims(), {**HEADER, name: value}, another_key())) == "not the header of an access token"
        )
        # Not even in a token that we have signed ourselves.
        assert reason_of(signed(claims(), {**HEADER, name: value}, our_key())) == "not the header of an access token"


@pytest.mark.parametrize(
    "kid", ["../../dev/null", "' OR 1=1 --", "k" * 129, "", None, 7, ["ours"], "ours\n", "OURS"], ids=str
)
def test_a_kid_only_names_a_key_of_ours(kid: Any) -> None:
    """It is looked up in a dict, and nothing else is done with it."""
    assert reason_of(signed(claims(), {**HEADER, "kid": kid}, our_key())) in (
        "no alg, or no kid",
        "a key that is not ours",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"typ": "JWT"},
        {"typ": "AT+JWT"},
        {"typ": None},
        {"b64": False},
        {"zip": "DEF"},
        {"cty": "JWT"},
    ],
    ids=str,
)
def test_no_other_header_is_understood(changes: dict[str, Any]) -> None:
    assert reason_of(signed(claims(), {**HEADER, **changes}, our_key()))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://auth.example/"},
        {"iss": None},
        {"iss": ["https://auth.example"]},
        {"aud": "https://other.example"},
        {"aud": ["https://api.example"]},
        {"aud": None},
        {"exp": None},
        {"exp": "2000000000"},
        {"exp": 1e308},
        {"exp": True},
        {"exp": -1},
        {"exp": 2**63},
        {"exp": int(NOW.timestamp()) + 3601},
        {"exp": int(NOW.timestamp())},
        {"nbf": None},
        {"iat": None},
        {"iat": 1.5},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 256},
        {"jti": None},
        {"client_id": None},
        {"roles": None},
        {"roles": "admin"},
        {"roles": [["admin"]]},
        {"roles": ["Admin Role"]},
        {"scope": None},
        {"scope": ["*"]},
        {"scope": "workflow"},
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_or_missing_is_refused(changes: dict[str, Any]) -> None:
    """Although we have signed it."""
    assert reason_of(signed(claims(**changes), HEADER, our_key()))


@pytest.mark.parametrize(
    "payload", [b"[]", b"null", b'"x"', b"{", b"\xff", b'{"sub":"a","sub":"b"}', b'{"exp":NaN}', b"[" * 5000], ids=repr
)
def test_a_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    """Although it is signed: twice the same name, NaN, and ten thousand brackets."""
    from joserfc.jws import JWSRegistry

    from maestro_core_auth._jws import encode

    head = f"{encode(json.dumps(HEADER).encode())}.{encode(payload)}"
    token = f"{head}.{encode(JWSRegistry.algorithms['Ed25519'].sign(head.encode(), our_key()))}"
    assert reason_of(token) in (
        "not an object",
        "nested too deeply",
        "a name stands twice",
        "NaN is no number",
    ) or payload in (b"{", b"\xff")


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b", "a.b.c.d", "é.é.é", "." * 8192, "a" * 8193, "\0.\0.\0"],
    ids=lambda token: token[:8],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert reason_of(token)


def test_a_long_token_is_not_looked_at() -> None:
    """However good it would be."""
    assert reason_of(signed(claims(jti="x" * 8192), HEADER, our_key())) == "too long"


@given(st.integers(-5000, 5000), st.sampled_from([0, 30, 120]))
def test_a_token_counts_from_its_beginning_to_its_end_give_or_take_the_leeway(passed_s: int, leeway_s: int) -> None:
    """To the second: the leeway's last one counts on both sides."""
    token, rules = signed(claims(), HEADER, our_key()), replace(RULES, leeway_s=leeway_s)
    now = datetime.fromtimestamp(NOW.timestamp() + passed_s, UTC)
    keys = {"ours": our_key()}
    if passed_s < -leeway_s:
        with pytest.raises(InvalidCredentials) as caught:
            verify_access_token(token, keys, rules, now)
        assert caught.value.reason == "not valid yet"
    elif passed_s >= 600 + leeway_s:
        with pytest.raises(TokenExpired):
            verify_access_token(token, keys, rules, now)
    else:
        assert verify_access_token(token, keys, rules, now).subject == "ada"


@pytest.mark.parametrize("passed_s", [-31, -30, 629, 630])
def test_the_edges_of_the_clock(passed_s: int) -> None:
    now = datetime.fromtimestamp(NOW.timestamp() + passed_s, UTC)
    token = signed(claims(), HEADER, our_key())
    if passed_s in (-30, 629):
        assert verify(token, now).subject == "ada"
    else:
        with pytest.raises(InvalidCredentials):
            verify(token, now)


def test_only_a_token_that_was_good_says_that_it_has_expired() -> None:
    """A forged one that is also too old is only forged."""
    late = datetime.fromtimestamp(NOW.timestamp() + 9999, UTC)
    assert reason_of(signed(claims(), HEADER, another_key()), late) == "the signature does not hold"
    assert reason_of(signed(claims(sub=""), HEADER, our_key()), late)
    with pytest.raises(TokenExpired) as caught:
        verify(signed(claims(), HEADER, our_key()), late)
    assert caught.value.code == "auth.token-expired"


@pytest.mark.parametrize("leeway_s", [-1, 121])
def test_the_leeway_is_bounded(leeway_s: int) -> None:
    with pytest.raises(ValueError, match="leeway_s must be from 0 to 120"):
        AccessRules("i", "a", leeway_s)


@pytest.mark.parametrize("lifetime_s", [0, 3601])
def test_the_lifetime_is_bounded(lifetime_s: int) -> None:
    with pytest.raises(ValueError, match="lifetime_s must be from 1 to 3600"):
        AccessTokens(SigningKeys(MemoryAuthStore()), RULES, lifetime_s=lifetime_s)


def test_a_token_is_never_longer_than_what_is_read() -> None:
    """A subject and fifty roles of the longest kind still fit."""

    async def token() -> str:
        keys = SigningKeys(MemoryAuthStore())
        await keys.rotate()
        roles = {f"{'role' * 15}{number}" for number in range(50)}
        tokens = AccessTokens(keys, RULES)
        issued = await tokens.issue("ä" * 255, roles)
        assert (await tokens.verify(issued)).roles == roles
        return issued

    assert len(asyncio.run(token())) < 8192
