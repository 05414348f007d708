"""People log in at a real OpenID provider, by its own page, and come back as users with roles."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from kit.oidc_provider import OidcProvider, log_in_by_hand, oidc_provider
from maestro_core_auth import ApiKeys, InvalidGrant, MemoryAuthStore, OidcLoginFailed, OidcNoRole, Sessions, Users
from maestro_core_auth.oidc import OidcLogin, OidcLogins, OidcSettings, RoleMapping

# One person for each test: the provider makes the same access token twice for one who logs in twice within a second.
PASSWORDS = {
    name: f"the password of {name}" for name in ("ada", "bob", "cid", "dan", "eve", "fay", "gil", "hal", "ida")
}
GROUPS = {"maestro-admins": ["ada"], "maestro-viewers": ["ada", "bob", "cid", "dan", "gil", "hal", "ida"]}
ROLES = RoleMapping("groups", {"maestro-admins": "admin", "maestro-viewers": "viewer"})
PEX = Path("tests.libraries.maestro_core_auth.provider/oidc.pex/__main__.py")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    folder = tmp_path_factory.mktemp("provider")
    with oidc_provider(folder, passwords=PASSWORDS, groups=GROUPS, pex=PEX.absolute()) as running:
        yield running


@dataclass
class World:
    """Our side: a store, and logins at the provider."""

    provider: OidcProvider
    store: MemoryAuthStore
    logins: OidcLogins

    async def callback(self, name: str, *, password: str = "", consent: bool = True) -> tuple[str, str]:
        """The query with which a person comes back, and what his browser's cookie holds."""
        start = await self.logins.begin("/workflows")
        url = await log_in_by_hand(
            start.url,
            name=name,
            password=password or PASSWORDS[name],
            redirect_uri=self.provider.redirect_uri,
            consent=consent,
        )
        return urlsplit(url).query, start.binding

    async def log_in(self, name: str) -> OidcLogin:
        return await self.logins.finish(*await self.callback(name))


@pytest.fixture
async def world(provider: OidcProvider) -> AsyncIterator[World]:
    settings = OidcSettings(
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        redirect_uri=provider.redirect_uri,
        roles=ROLES,
        scopes=("openid", "profile", "groups"),
    )
    store = MemoryAuthStore()
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield World(provider, store, OidcLogins(settings, store, http))


async def test_a_person_logs_in_with_a_password_at_the_provider(world: World) -> None:
    """Discovery, PKCE, the provider's form, the code, the signed ID token, and the groups as roles."""
    login = await world.log_in("ada")
    assert (login.user.subject, login.user.roles) == ("oidc:ada", frozenset({"admin", "viewer"}))
    assert login.return_to == "/workflows"
    assert login.claims["iss"] == world.provider.issuer
    session = await Sessions(world.store).start(login.user.subject)
    assert (await Sessions(world.store).verify(session.secret)).roles == {"admin", "viewer"}


async def test_each_has_the_roles_of_his_own_groups(world: World) -> None:
    assert (await world.log_in("bob")).user.roles == frozenset({"viewer"})
    assert [user.subject for user in await world.store.users()] == ["oidc:bob"]


async def test_who_is_in_no_group_has_no_business_here(world: World) -> None:
    with pytest.raises(OidcNoRole):
        await world.log_in("eve")
    assert await world.store.users() == []


async def test_who_left_his_groups_loses_what_they_gave(world: World) -> None:
    """Keys made before, too, from the next login on."""
    await Users(world.store).add("oidc:fay", {"admin"})
    key = await ApiKeys(world.store).issue("oidc:fay")
    with pytest.raises(OidcNoRole):
        await world.log_in("fay")
    assert (await ApiKeys(world.store).verify(key.secret)).roles == frozenset()


async def test_a_wrong_password_leads_nowhere(world: World) -> None:
    with pytest.raises(AssertionError, match="did not end"):
        await world.callback("ada", password="not the password")


async def test_a_callback_counts_once_and_in_one_browser(world: World) -> None:
    """Replayed, from another browser, or with the code of another login: nobody is logged in."""
    query, binding = await world.callback("dan")
    with pytest.raises(OidcLoginFailed, match="did not succeed") as caught:
        await world.logins.finish(query, "another browser")
    assert caught.value.reason == "callback: another browser began this login"
    with pytest.raises(OidcLoginFailed) as caught:
        await world.logins.finish(query, binding)
    assert caught.value.reason == "callback: a state that is unknown, used or too old"
    query, binding = await world.callback("dan")
    await world.logins.finish(query, binding)
    with pytest.raises(OidcLoginFailed):
        await world.logins.finish(query, binding)


async def test_a_stolen_code_is_worth_nothing_in_another_login(world: World) -> None:
    """The provider holds it against the challenge of the login that it was given for."""
    stolen = parse_qs((await world.callback("gil"))[0])
    own_query, binding = await world.callback("hal")
    own = parse_qs(own_query)
    with pytest.raises(OidcLoginFailed) as caught:
        await world.logins.finish(own_query.replace(own["code"][0], stolen["code"][0]), binding)
    assert caught.value.reason == "the provider refused the code"


async def test_who_refuses_at_the_provider_is_not_logged_in(world: World) -> None:
    """The provider comes back with an error, which is told for the logs."""
    query, binding = await world.callback("cid", consent=False)
    with pytest.raises(OidcLoginFailed) as caught:
        await world.logins.finish(query, binding)
    assert caught.value.reason == "callback: the provider says access_denied"


async def test_one_logs_out_at_the_provider_too(world: World) -> None:
    """The provider takes the ID token as a hint, and knows where to send the browser."""
    login = await world.log_in("ida")
    url = await world.logins.logout_url(login.id_token, world.provider.redirect_uri)
    assert url is not None
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
    assert answer.status_code in (200, 302)
    assert answer.is_success or answer.headers["location"].startswith(world.provider.redirect_uri)
    with pytest.raises(InvalidGrant):
        await world.logins.logout_url(login.id_token, "http://elsewhere.example")
