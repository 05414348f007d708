"""Login at a provider: authorization code with PKCE, from the first redirect to a user with roles."""

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx2

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._cookies import login_cookie
from maestro_core_auth._errors import InvalidGrant, OidcLoginFailed, OidcNoRole
from maestro_core_auth._events import AuthEvent, Listener, nobody_listens
from maestro_core_auth._oidc._id_token import Expected, verify_id_token
from maestro_core_auth._oidc._provider import Provider
from maestro_core_auth._oidc._settings import OidcSettings, is_safe_url
from maestro_core_auth._records import User
from maestro_core_auth._store import AuthStore

MAX_QUERY_CHARS = 4096
_ERROR = re.compile(r"[a-z_]{1,64}")
_RETURN_TO = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1023}")


@dataclass(frozen=True, slots=True)
class LoginStart:
    """Where to send the browser, and the cookie it has to bring back; the cookie is nobody else's business."""

    url: str = field(repr=False)
    set_cookie: str = field(repr=False)
    binding: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OidcLogin:
    """A user who has logged in at the provider, the claims about him, and the page he came from."""

    user: User
    claims: dict[str, Any]
    return_to: str
    id_token: str = field(repr=False)


class OidcLogins:
    """Begins logins at one provider and finishes them; roles come from the provider alone, and none means no login."""

    def __init__(
        self,
        settings: OidcSettings,
        store: AuthStore,
        http: httpx2.AsyncClient,
        *,
        clock: Clock = utc_now,
        listener: Listener = nobody_listens,
    ) -> None:
        self._settings = settings
        self._store = store
        self._provider = Provider(settings, http, clock)
        self._clock = clock
        self._listener = listener

    async def begin(self, return_to: str = "/") -> LoginStart:
        """Begin a login that ends on a page of ours; raises InvalidGrant for another's, or OidcUnavailable."""
        if not _RETURN_TO.fullmatch(return_to):
            raise InvalidGrant("return_to is a path of this server, as /workflows")
        metadata, settings = await self._provider.metadata(), self._settings
        state, nonce, verifier, binding = (secrets.token_urlsafe(32) for _ in range(4))
        pending = {"nonce": nonce, "verifier": verifier, "binding": _digest(binding).hex(), "return_to": return_to}
        expires_at = self._clock() + timedelta(seconds=settings.login_s)
        await self._store.keep_once(_digest(state), json.dumps(pending), expires_at)
        challenge = base64.urlsafe_b64encode(_digest(verifier)).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": settings.client_id,
            "redirect_uri": settings.redirect_uri,
            "scope": " ".join(settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in metadata.authorization_endpoint else "?"
        url = f"{metadata.authorization_endpoint}{separator}{urlencode(query)}"
        return LoginStart(url, login_cookie(binding, int(settings.login_s)), binding)

    async def finish(self, query: str, binding: str | None) -> OidcLogin:
        """Finish the login that this callback query belongs to, in the browser that began it.

        `binding` is the value of that browser's login cookie. A state counts once, whatever comes of it. Raises
        OidcLoginFailed, OidcNoRole for somebody without a role here, or OidcUnavailable.
        """
        try:
            login = await self._finish(query, binding)
        except OidcLoginFailed as error:
            self._tell("login.failed", self._settings.subject_prefix, error.reason)
            raise
        self._tell("login.succeeded", login.user.subject, "oidc")
        return login

    async def logout_url(self, id_token: str, return_uri: str) -> str | None:
        """Where to send the browser to log out at the provider too; None when the provider has no such place."""
        if not is_safe_url(return_uri):
            raise InvalidGrant("the URI to return to is https, or http on loopback")
        endpoint = (await self._provider.metadata()).end_session_endpoint
        if endpoint is None:
            return None
        query = {
            "id_token_hint": id_token,
            "client_id": self._settings.client_id,
            "post_logout_redirect_uri": return_uri,
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def _finish(self, query: str, binding: str | None) -> OidcLogin:
        answer = _callback(query)
        pending = await self._take(answer.get("state", ""), binding or "")
        metadata = await self._provider.metadata()
        if metadata.sends_issuer and "iss" not in answer:
            raise OidcLoginFailed("callback: no iss, which this provider sends")
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise OidcLoginFailed("callback: from another issuer")
        if "error" in answer:
            named = answer["error"] if _ERROR.fullmatch(answer["error"]) else "an error without a name"
            raise OidcLoginFailed(f"callback: the provider says {named}")
        tokens = await self._provider.tokens(answer.get("code", ""), pending["verifier"])
        expected = Expected(
            issuer=self._settings.issuer,
            client_id=self._settings.client_id,
            nonce=pending["nonce"],
            access_token=tokens.access_token,
            leeway_s=self._settings.leeway_s,
        )
        keys = await self._provider.keys_for(tokens.id_token)
        claims = verify_id_token(tokens.id_token, keys, expected, self._clock())
        return OidcLogin(await self._user(claims), claims, pending["return_to"], tokens.id_token)

    async def _take(self, state: str, binding: str) -> dict[str, str]:
        """What was kept for this state, which is gone from now on."""
        kept = await self._store.take_once(_digest(state), self._clock())
        if kept is None:
            raise OidcLoginFailed("callback: a state that is unknown, used or too old")
        pending: dict[str, str] = json.loads(kept)
        if not hmac.compare_digest(_digest(binding).hex(), pending["binding"]):
            raise OidcLoginFailed("callback: another browser began this login")
        return pending

    async def _user(self, claims: dict[str, Any]) -> User:
        """The user behind the claims, with the roles that they give now, made if need be."""
        subject, roles = f"{self._settings.subject_prefix}:{claims['sub']}", self._settings.roles.roles_of(claims)
        while True:
            before = await self._store.user(subject)
            if before is None:
                if not roles:
                    raise OidcNoRole("no claim gives a role")
                try:
                    after = User(subject, roles, self._clock())
                except InvalidGrant as error:
                    raise OidcLoginFailed(f"ID token: {error}") from None
                done = await self._store.add_user(after)
            else:
                # Written down even when there are none left: keys and sessions of this user lose them too.
                after = replace(before, roles=roles)
                done = after == before or await self._store.replace_user(before, after)
            if done and after.disabled:
                raise OidcLoginFailed("the user is disabled here")
            if done and not roles:
                raise OidcNoRole("no claim gives a role any more")
            if done:
                return after

    def _tell(self, action: str, subject: str, reason: str) -> None:
        self._listener(AuthEvent(action, subject, self._clock(), reason=reason))


def _callback(query: str) -> dict[str, str]:
    """The parameters of a callback; raises OidcLoginFailed when one stands there twice, or for too many."""
    if len(query) > MAX_QUERY_CHARS:
        raise OidcLoginFailed("callback: too long")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise OidcLoginFailed("callback: not a query") from None
    answer = dict(pairs)
    if len(answer) != len(pairs):
        raise OidcLoginFailed("callback: a parameter stands there twice")
    return answer


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
