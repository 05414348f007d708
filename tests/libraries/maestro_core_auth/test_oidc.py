"""Login at a provider that lies, fails, stalls or is somebody else: nobody is logged in, and little is asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey, RSAKey
from libraries.maestro_core_auth.attacks import jws, jws_parts, mangled

from maestro_core_auth import (
    LOGIN_COOKIE,
    AuthEvent,
    InvalidGrant,
    MemoryAuthStore,
    OidcLoginFailed,
    OidcNoRole,
    OidcUnavailable,
    Users,
    read_cookie,
)
from maestro_core_auth._oidc._id_token import Expected, ProviderKey, provider_keys, verify_id_token
from maestro_core_auth.oidc import LoginStart, OidcLogin, OidcLogins, OidcSettings, RoleMapping
from maestro_core_auth.testing import FakeProvider, ManualClock, signed

ISSUER = "https://provider.test"
REDIRECT = "https://api.example/login/callback"
DISCOVERY = "/.well-known/openid-configuration"
GOOD: dict[str, Any] = {
    "issuer": ISSUER,
    "client_id": "maestro",
    "redirect_uri": REDIRECT,
    "roles": RoleMapping("groups", {"maestro-admins": "admin"}),
}


class World:
    """A provider that can lie, and our logins at it."""

    def __init__(self, **changes: Any) -> None:
        self.clock = ManualClock()
        self.provider = FakeProvider(ISSUER, clock=self.clock)
        self.store = MemoryAuthStore()
        self.heard: list[AuthEvent] = []
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.provider))
        settings = OidcSettings(**{**GOOD, **changes})
        self.logins = OidcLogins(settings, self.store, self.http, clock=self.clock, listener=self.heard.append)

    async def log_in(self, **answer: str) -> OidcLogin:
        start = await self.logins.begin()
        return await self.logins.finish(self.provider.log_in(start.url, **answer), start.binding)

    async def refused(self, **answer: str) -> str:
        """The reason why a login fails; nobody was made a user by it."""
        with pytest.raises(OidcLoginFailed) as caught:
            await self.log_in(**answer)
        assert await self.store.users() == []
        assert self.heard[-1] == AuthEvent("login.failed", "oidc", self.clock(), reason=caught.value.reason)
        return caught.value.reason

    async def unavailable(self) -> str:
        with pytest.raises(OidcUnavailable) as caught:
            await self.log_in()
        assert await self.store.users() == []
        return str(caught.value)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.http.aclose()


async def test_a_good_provider_logs_in(world: World) -> None:
    """Once with discovery, keys and code; the next login asks for no more than its code."""
    assert (await world.log_in()).user.roles == {"admin"}
    assert (await world.log_in()).user.subject == "oidc:ada"
    assert world.provider.asked == {DISCOVERY: 1, "/jwks": 1, "/token": 2}
    assert world.heard[-1].action == "login.succeeded"


async def test_the_way_to_the_provider_says_what_it_must(world: World) -> None:
    """PKCE with S256, state, nonce, the exact redirect URI; and a cookie that ties the browser to it."""
    start = await world.logins.begin("/workflows?page=2")
    query = parse_qs(urlsplit(start.url).query)
    assert query["redirect_uri"] == [REDIRECT]
    assert (query["response_type"], query["code_challenge_method"]) == (["code"], ["S256"])
    assert (query["client_id"], query["scope"]) == (["maestro"], ["openid profile"])
    secrets = [query[name][0] for name in ("state", "nonce", "code_challenge")] + [start.binding]
    assert len({*secrets}) == 4
    assert all(len(secret) == 43 for secret in secrets)
    assert start.set_cookie == f"{LOGIN_COOKIE}={start.binding}; Max-Age=600; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert read_cookie([f"x=y; {LOGIN_COOKIE}={start.binding}"], LOGIN_COOKIE) == start.binding
    assert start.binding not in repr(start)


@pytest.mark.parametrize(
    "return_to",
    ["", "//evil.example", "https://evil.example", "/\\evil.example", "workflows", "/a\nb", "/" + "x" * 2000],
)
async def test_a_login_ends_on_a_page_of_ours(world: World, return_to: str) -> None:
    with pytest.raises(InvalidGrant):
        await world.logins.begin(return_to)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://other.test"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "another"}, "not for this client, or not for it alone"),
        ({"aud": ["maestro", "another"]}, "not for this client, or not for it alone"),
        ({"aud": None}, "not for this client, or not for it alone"),
        ({"azp": "another"}, "issued to another client"),
        ({"nonce": "another"}, "another nonce"),
        ({"nonce": None}, "another nonce"),
        ({"nonce": 7}, "another nonce"),
        ({"at_hash": "AAAA"}, "another access token"),
        ({"at_hash": 7}, "another access token"),
        ({"sub": None}, "no subject"),
        ({"sub": ""}, "no subject"),
        ({"sub": "x" * 256}, "no subject"),
        ({"exp": None}, "exp is no time"),
        ({"exp": "soon"}, "exp is no time"),
        ({"exp": 1}, "expired"),
        ({"iat": None}, "iat is no time"),
        ({"iat": 2**39}, "not valid yet"),
        ({"nbf": 2**39}, "not valid yet"),
        ({"sub": "a b"}, "a subject has 1 to 255 printable characters and no space"),
        ({"sub": "a\nb"}, "a subject has 1 to 255 printable characters and no space"),
    ],
    ids=str,
)
async def test_an_id_token_that_says_something_else_is_refused(
    world: World, claims: dict[str, Any], reason: str
) -> None:
    """Although the provider has signed it."""
    world.provider.claims = claims
    assert await world.refused() == f"ID token: {reason}"


@pytest.mark.parametrize("claims", [{"aud": ["maestro"]}, {"azp": "maestro"}, {"at_hash": None}, {"nbf": 1.5}], ids=str)
async def test_what_the_standard_leaves_open_is_taken(world: World, claims: dict[str, Any]) -> None:
    world.provider.claims = claims
    assert (await world.log_in()).user.subject == "oidc:ada"


@pytest.mark.parametrize(("late_s", "good"), [(-31, False), (-30, True), (329, True), (330, False)])
async def test_the_edges_of_the_clock(world: World, late_s: int, good: bool) -> None:
    """Thirty seconds of difference between two clocks are borne, on either side."""
    now = world.clock()
    world.provider.clock = lambda: now
    start = await world.logins.begin()
    query = world.provider.log_in(start.url)
    world.clock.advance(late_s)
    if good:
        assert (await world.logins.finish(query, start.binding)).user
    else:
        with pytest.raises(OidcLoginFailed):
            await world.logins.finish(query, start.binding)


def as_none(provider: FakeProvider) -> None:
    provider.alg = "none"


def as_hmac_of_the_public_key(provider: FakeProvider) -> None:
    provider.header = {"alg": "HS256"}
    provider.id_token = lambda client_id, nonce, access_token: signed(  # type: ignore[method-assign]  # the lie
        {"iss": ISSUER, "aud": client_id, "sub": "ada", "exp": 2**33, "iat": 1, "nonce": nonce},
        {"alg": "HS256", "kid": provider.kid},
        ECKey.import_key(provider.key.as_dict(private=False)).as_pem(private=False),
    )


def with_another_key(provider: FakeProvider) -> None:
    published = provider.jwks()
    provider.answers["/jwks"] = (200, {}, json.dumps(published).encode())
    provider.key = ECKey.generate_key("P-256")


def with_another_key_brought_along(provider: FakeProvider) -> None:
    with_another_key(provider)
    provider.header = {"jwk": provider.key.as_dict(private=False), "jku": "https://evil.example/jwks"}


def with_another_kid(provider: FakeProvider) -> None:
    provider.header = {"kid": "unknown"}


def without_kid(provider: FakeProvider) -> None:
    provider.header = {"kid": None}


def with_another_algorithm(provider: FakeProvider) -> None:
    provider.header = {"alg": "ES384"}
    provider.id_token = lambda *given: jws({"alg": "ES384", "kid": provider.kid}, {}, "AAAA")  # type: ignore[method-assign]  # the lie


def with_crit(provider: FakeProvider) -> None:
    provider.header = {"crit": ["exp"]}


def with_a_key_for_encryption(provider: FakeProvider) -> None:
    provider.answers["/jwks"] = (200, {}, json.dumps({"keys": [{**provider.jwks()["keys"][0], "use": "enc"}]}).encode())


def with_a_key_for_another_algorithm(provider: FakeProvider) -> None:
    provider.answers["/jwks"] = (
        200,
        {},
        json.dumps({"keys": [{**provider.jwks()["keys"][0], "alg": "ES384"}]}).encode(),
    )


@pytest.mark.parametrize(
    "lie",
    [
        as_none,
        as_hmac_of_the_public_key,
        with_another_key,
        with_another_key_brought_along,
        with_another_kid,
        without_kid,
        with_another_algorithm,
        with_crit,
        with_a_key_for_encryption,
        with_a_key_for_another_algorithm,
    ],
)
async def test_an_id_token_that_is_not_signed_as_it_must_be_is_refused(
    world: World, lie: Callable[[FakeProvider], None]
) -> None:
    """The key says the algorithm, and only keys that the provider publishes count."""
    lie(world.provider)
    assert (await world.refused()).startswith("ID token: ")
    assert "/evil" not in str(world.provider.asked)


@pytest.mark.parametrize(
    ("alg", "make"),
    [
        ("RS256", lambda: RSAKey.generate_key(2048)),
        ("ES256", lambda: ECKey.generate_key("P-256")),
        ("EdDSA", lambda: OKPKey.generate_key("Ed25519")),
        ("Ed25519", lambda: OKPKey.generate_key("Ed25519")),
    ],
)
async def test_the_allowed_algorithms_work(world: World, alg: str, make: Callable[[], Any]) -> None:
    """Each with a key of its kind; EdDSA under both of its names."""
    world.provider.alg, world.provider.key = alg, make()
    world.provider.claims = {"at_hash": None}
    assert (await world.log_in()).user.subject == "oidc:ada"


async def test_only_the_algorithms_that_are_allowed_work() -> None:
    world = World(algorithms=("RS256",))
    assert await world.refused() == "ID token: a key that is not the provider's"
    await world.http.aclose()


def test_a_weak_or_symmetric_key_is_no_key() -> None:
    """Also a private one is read as public, and what cannot be read is left out."""
    listed: list[Any] = [
        {"kty": "RSA", "n": "w" * 171, "e": "AQAB", "kid": "of 1,024 bits"},
        {"kty": "RSA", "n": "w" * 2732, "e": "AQAB", "kid": "of 16,384 bits"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "broken"},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA", "kid": "other curve"},
        {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "no signature"},
        {"kid": 7},
        "text",
        {**ECKey.generate_key("P-256").as_dict(private=True), "kid": "good"},
    ]
    found = provider_keys({"keys": listed}, ("RS256", "ES256", "EdDSA"))
    assert list(found) == ["good"]
    assert not found["good"].key.is_private
    documents: list[dict[str, Any]] = [{}, {"keys": {}}, {"keys": listed * 9}, {"keys": [listed[-1], listed[-1]]}]
    for document in documents:
        with pytest.raises(ValueError, match=r"JWKS|two keys"):
            provider_keys(document, ("ES256",))


KEY = ECKey.generate_key("P-256")
EXPECTED = Expected(ISSUER, "maestro", "the-nonce", "the-access-token", 30)


@given(st.data())
def test_no_changed_id_token_is_believed(data: st.DataObject) -> None:
    """Bits flipped, cut, extended, or anything else."""
    clock = ManualClock()
    provider = FakeProvider(ISSUER, clock=clock)
    provider.key = KEY
    token = provider.id_token("maestro", "the-nonce", "the-access-token")
    keys = {"key-1": ProviderKey("ES256", KEY)}
    assert verify_id_token(token, keys, EXPECTED, clock())["sub"] == "ada"
    with pytest.raises(OidcLoginFailed):
        verify_id_token(data.draw(mangled(token)), keys, EXPECTED, clock())
    header, claims, signature = jws_parts(token)
    with pytest.raises(OidcLoginFailed):
        verify_id_token(jws(header, {**claims, "sub": "root"}, signature), keys, EXPECTED, clock())


@given(st.data())
def test_no_changed_nonce_is_taken(data: st.DataObject) -> None:
    """An ID token of another login is worth nothing in this one, though its signature holds."""
    clock = ManualClock()
    provider = FakeProvider(ISSUER, clock=clock)
    provider.key = KEY
    token = provider.id_token("maestro", data.draw(mangled("the-nonce")), "the-access-token")
    with pytest.raises(OidcLoginFailed) as caught:
        verify_id_token(token, {"key-1": ProviderKey("ES256", KEY)}, EXPECTED, clock())
    assert caught.value.reason == "ID token: another nonce"


async def attacked(attack: Callable[[World, LoginStart, str], Awaitable[OidcLogin]]) -> str:
    world = World()
    start = await world.logins.begin()
    query = world.provider.log_in(start.url)
    with pytest.raises(OidcLoginFailed) as caught:
        await attack(world, start, query)
    await world.http.aclose()
    return caught.value.reason


@given(st.data())
async def test_no_changed_state_is_taken(data: st.DataObject) -> None:
    async def attack(world: World, start: LoginStart, query: str) -> OidcLogin:
        parts = {name: values[0] for name, values in parse_qs(query).items()}
        parts["state"] = data.draw(mangled(parts["state"]).filter(lambda text: text.isprintable()))
        return await world.logins.finish(urlencode(parts), start.binding)

    assert (await attacked(attack)) == "callback: a state that is unknown, used or too old"


@given(st.data())
async def test_no_changed_binding_is_taken(data: st.DataObject) -> None:
    """A callback that somebody else's browser is sent to logs nobody in."""

    async def attack(world: World, start: LoginStart, query: str) -> OidcLogin:
        changed = data.draw(st.one_of(st.none(), mangled(start.binding)))
        return await world.logins.finish(query, changed)

    assert (await attacked(attack)) == "callback: another browser began this login"


@given(
    st.one_of(
        st.text(max_size=100),
        st.binary(max_size=60).map(lambda data: data.hex()),
        st.just("a=b&" * 40),
        st.just("x" * 5000),
        st.just("%ff=%fe"),
    )
)
async def test_a_callback_that_is_anything_else_is_refused(query: str) -> None:
    async def attack(world: World, start: LoginStart, _: str) -> OidcLogin:
        return await world.logins.finish(query, start.binding)

    assert (await attacked(attack)).startswith("callback: ")


async def test_a_state_and_a_code_count_once(world: World) -> None:
    """A replayed callback is refused here; a replayed code in a new state at the provider."""
    start = await world.logins.begin()
    query = world.provider.log_in(start.url)
    code = parse_qs(query)["code"][0]
    await world.logins.finish(query, start.binding)
    with pytest.raises(OidcLoginFailed) as caught:
        await world.logins.finish(query, start.binding)
    assert caught.value.reason == "callback: a state that is unknown, used or too old"
    with pytest.raises(OidcLoginFailed) as caught:
        await world.log_in(code=code)
    assert caught.value.reason == "the provider refused the code"


async def test_two_callbacks_at_once_log_in_once(world: World) -> None:
    start = await world.logins.begin()
    query = world.provider.log_in(start.url)
    finishes = [world.logins.finish(query, start.binding) for _ in range(5)]
    outcomes = await asyncio.gather(*finishes, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["OidcLogin"] + ["OidcLoginFailed"] * 4


async def test_a_state_lives_ten_minutes(world: World) -> None:
    start = await world.logins.begin()
    query = world.provider.log_in(start.url)
    world.clock.advance(600)
    with pytest.raises(OidcLoginFailed):
        await world.logins.finish(query, start.binding)


async def test_a_callback_of_another_provider_is_refused_before_its_code_goes_anywhere(world: World) -> None:
    """Mix-up: the `iss` of RFC 9207 is checked, and demanded of who sends it."""
    assert await world.refused(iss="https://other.test") == "callback: from another issuer"
    start = await world.logins.begin()
    query = world.provider.log_in(start.url).rpartition("&iss=")[0]
    with pytest.raises(OidcLoginFailed) as caught:
        await world.logins.finish(query, start.binding)
    assert caught.value.reason == "callback: no iss, which this provider sends"
    assert "/token" not in world.provider.asked


async def test_an_error_of_the_provider_is_told_and_nothing_it_says_beside_it(world: World) -> None:
    reason = await world.refused(error="access_denied", error_description="<script>")
    assert reason == "callback: the provider says access_denied"
    assert await world.refused(error="<script>") == "callback: the provider says an error without a name"


async def test_a_parameter_given_twice_is_refused(world: World) -> None:
    start = await world.logins.begin()
    with pytest.raises(OidcLoginFailed) as caught:
        await world.logins.finish(world.provider.log_in(start.url) + "&code=another", start.binding)
    assert caught.value.reason == "callback: a parameter stands there twice"


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, headers, body


def document(**changes: Any) -> tuple[int, dict[str, str], bytes]:
    return answer(body=json.dumps({**FakeProvider(ISSUER)._discovery(), **changes}).encode())


@pytest.mark.parametrize(
    ("path", "lie", "said"),
    [
        (DISCOVERY, document(issuer="https://other.test"), "names another issuer"),
        (DISCOVERY, document(issuer=f"{ISSUER}/"), "names another issuer"),
        (DISCOVERY, document(token_endpoint="http://provider.test/token"), "not https"),
        (DISCOVERY, document(jwks_uri="file:///etc/passwd"), "not https"),
        (DISCOVERY, document(jwks_uri=None), "lacks an endpoint"),
        (DISCOVERY, document(authorization_endpoint="javascript:alert(1)"), "not https"),
        (DISCOVERY, document(code_challenge_methods_supported=["plain"]), "PKCE"),
        (DISCOVERY, answer(302, location="https://evil.example/"), "status 302"),
        (DISCOVERY, answer(500), "status 500"),
        (DISCOVERY, answer(body=b"<html>"), "Expecting value"),
        (DISCOVERY, answer(body=b"[" * 100_000), "nested too deeply"),
        (DISCOVERY, answer(body=b"{}" + b" " * 300_000), "more than 262144 bytes"),
        ("/jwks", answer(302, location="https://evil.example/"), "status 302"),
        ("/jwks", answer(body=b'{"keys": "' + b"x" * 300_000), "more than 262144 bytes"),
        ("/jwks", answer(body=json.dumps({"keys": [{}] * 65}).encode()), "more than 64 keys"),
        ("/jwks", answer(404), "status 404"),
        ("/token", answer(307, location="https://evil.example/"), "status 307"),
        ("/token", answer(503), "status 503"),
        ("/token", answer(body=b'{"id_token": "a", "id_token": "b"}'), "a name stands twice"),
    ],
)
async def test_an_answer_that_is_none_is_not_followed_nor_read_to_its_end(
    world: World, path: str, lie: tuple[int, dict[str, str], bytes], said: str
) -> None:
    """The error says what was wrong, without the code or a secret; a retry may help."""
    world.provider.answers[path] = lie
    text = await world.unavailable()
    assert said in text
    assert "code=" not in text


@pytest.mark.parametrize("body", [b"{}", b'{"id_token": 7, "access_token": "x"}', b'{"id_token": "a.b.c"}'])
async def test_an_answer_without_tokens_logs_nobody_in(world: World, body: bytes) -> None:
    world.provider.answers["/token"] = answer(body=body)
    assert await world.refused() == "the provider gave no tokens for the code"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 20_000])
async def test_an_id_token_that_is_none_logs_nobody_in(world: World, token: str) -> None:
    world.provider.answers["/token"] = answer(body=json.dumps({"id_token": token, "access_token": "x"}).encode())
    assert (await world.refused()).startswith("ID token: ")


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks", "/token"])
async def test_a_provider_that_stalls_is_given_up(path: str) -> None:
    world = World(timeout_s=0.05)
    world.provider.stalled = {path}
    assert "no whole answer within 0.05 s" in await world.unavailable()
    world.provider.stalled.clear()
    assert (await world.log_in()).user.subject == "oidc:ada"
    await world.http.aclose()


async def test_unknown_kids_do_not_make_us_ask_again_and_again(world: World) -> None:
    """A storm of them costs one request a minute; a true rotation is found by it."""
    await world.log_in()
    world.provider.header = {"kid": "unknown"}
    for _ in range(20):
        with pytest.raises(OidcLoginFailed):
            await world.log_in()
    assert world.provider.asked["/jwks"] == 1
    world.clock.advance(60)
    outcomes = await asyncio.gather(*(world.log_in() for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {OidcLoginFailed}
    assert world.provider.asked["/jwks"] == 2
    world.provider.header, world.provider.kid = {}, "key-2"
    world.provider.key = ECKey.generate_key("P-256")
    with pytest.raises(OidcLoginFailed):
        await world.log_in()
    world.clock.advance(60)
    assert (await world.log_in()).user.subject == "oidc:ada"
    assert world.provider.asked["/jwks"] == 3


async def test_a_key_that_the_provider_withdrew_is_forgotten(world: World) -> None:
    """Within the hour for which keys are kept."""
    await world.log_in()
    world.provider.answers["/jwks"] = answer(body=b'{"keys": []}')
    assert (await world.log_in()).user
    world.clock.advance(3600)
    with pytest.raises(OidcLoginFailed):
        await world.log_in()


async def test_roles_come_from_the_mapped_values_alone(world: World) -> None:
    """Another group, another type, another claim: no role, and so no login."""
    for claims in (
        {"groups": ["others"]},
        {"groups": None},
        {"groups": [["maestro-admins"]]},
        {"roles": ["admin"], "groups": []},
        {"groups": {"maestro-admins": 1}},
    ):
        world.provider.claims = claims
        with pytest.raises(OidcNoRole):
            await world.log_in()
        assert await world.store.users() == []
    world.provider.claims = {"groups": "maestro-admins"}
    assert (await world.log_in()).user.roles == {"admin"}


async def test_who_loses_his_groups_loses_his_roles(world: World) -> None:
    await world.log_in()
    world.provider.claims = {"groups": []}
    with pytest.raises(OidcNoRole):
        await world.log_in()
    assert (await Users(world.store).get("oidc:ada")).roles == frozenset()


async def test_who_is_disabled_here_is_not_let_in_by_the_provider(world: World) -> None:
    await world.log_in()
    await Users(world.store).set_disabled("oidc:ada", True)
    with pytest.raises(OidcLoginFailed) as caught:
        await world.log_in()
    assert caught.value.reason == "the user is disabled here"


async def test_logout_leads_to_the_provider_if_it_has_a_place_for_it(world: World) -> None:
    url = await world.logins.logout_url("the-id-token", "https://api.example/bye")
    query = "id_token_hint=the-id-token&client_id=maestro&post_logout_redirect_uri=https%3A%2F%2Fapi.example%2Fbye"
    assert url == f"{ISSUER}/logout?{query}"
    other = World()
    other.provider.answers[DISCOVERY] = document(end_session_endpoint="http://evil.example")
    assert await other.logins.logout_url("the-id-token", "https://api.example/bye") is None
    await other.http.aclose()


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://provider.test"},
        {"issuer": "https://provider.test?x=1"},
        {"issuer": "https://user:pw@provider.test"},
        {"issuer": "ftp://provider.test"},
        {"issuer": "https://"},
        {"issuer": "https://[::1"},
        {"redirect_uri": "http://api.example/callback"},
        {"redirect_uri": "https://api.example/callback#x"},
        {"redirect_uri": "https://api.example\\@evil.example"},
        {"scopes": ("profile",)},
        {"algorithms": ("HS256",)},
        {"algorithms": ("none",)},
        {"algorithms": ()},
        {"leeway_s": 121},
        {"roles": RoleMapping("groups", {"x": "Not A Role"})},
    ],
    ids=str,
)
def test_settings_that_cannot_be_safe_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidGrant):
        OidcSettings(**{**GOOD, **changes})


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("127.0.0.1:8080", True),
        ("[::1]:8080", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("[fe80::1]", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1@evil.example", False),
    ],
)
def test_http_is_for_loopback_alone(host: str, taken: bool) -> None:
    changes = {**GOOD, "issuer": f"http://{host}"}
    if taken:
        assert OidcSettings(**changes)
    else:
        with pytest.raises(InvalidGrant):
            OidcSettings(**changes)


def test_the_client_secret_is_in_no_repr() -> None:
    assert "hunter2" not in repr(OidcSettings(**GOOD, client_secret="hunter2"))
