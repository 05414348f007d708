"""Access tokens, alone and in pairs with refresh tokens."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

from joserfc.jws import JWSRegistry

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._jws import encode
from maestro_core_auth._principal import EVERY_SCOPE, Principal
from maestro_core_auth._refresh import IssuedRefresh, RefreshTokens
from maestro_core_auth._tokens._signing_keys import SigningKeys
from maestro_core_auth._tokens._verify import (
    ALGORITHM,
    MAX_LIFETIME_S,
    TYPE,
    AccessRules,
    access_claims,
    verify_access_token,
)


class AccessTokens:
    """Issues and verifies short-lived access tokens: JWT by RFC 9068, Ed25519 and nothing else."""

    def __init__(self, keys: SigningKeys, rules: AccessRules, *, lifetime_s: int = 600, clock: Clock = utc_now) -> None:
        if not 0 < lifetime_s <= MAX_LIFETIME_S:
            raise ValueError(f"lifetime_s must be from 1 to {MAX_LIFETIME_S}")
        self.lifetime_s = lifetime_s
        self._keys = keys
        self._rules = rules
        self._clock = clock

    async def issue(
        self,
        subject: str,
        roles: Collection[str],
        *,
        scopes: Collection[str] = EVERY_SCOPE,
        client_id: str = "maestro",
    ) -> str:
        """A token for somebody who has just proved who he is; raises NoSigningKey before the first `rotate`."""
        principal = Principal(subject, "token", frozenset(roles), frozenset(scopes), secrets.token_urlsafe(16))
        kid, key = await self._keys.signer()
        payload = access_claims(
            rules=self._rules,
            principal=principal,
            client_id=client_id,
            now=self._clock(),
            lifetime_s=self.lifetime_s,
        )
        header = f'{{"alg":"{ALGORITHM}","typ":"{TYPE}","kid":"{kid}"}}'.encode()
        signed = f"{encode(header)}.{encode(payload)}"
        return f"{signed}.{encode(JWSRegistry.algorithms[ALGORITHM].sign(signed.encode(), key))}"

    async def verify(self, token: str) -> Principal:
        """Who the token speaks for; raises InvalidCredentials, or TokenExpired for a genuine one that came too late."""
        return verify_access_token(token, await self._keys.verifying(), self._rules, self._clock())


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets: the access token for requests, the refresh token for the next pair."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_s: int


class TokenLogins:
    """Logins of clients that hold tokens: started, refreshed, ended."""

    def __init__(self, access: AccessTokens, refresh: RefreshTokens) -> None:
        self._access = access
        self._refresh = refresh

    async def start(
        self, subject: str, *, scopes: Collection[str] = EVERY_SCOPE, client_id: str = "maestro"
    ) -> TokenPair:
        """The first pair, for somebody who has just proved who he is; raises InvalidCredentials for no live user."""
        return await self._pair(await self._refresh.start(subject, scopes=scopes, client_id=client_id))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """The next pair, with the roles that the user has now; raises what `RefreshTokens.exchange` raises."""
        return await self._pair(await self._refresh.exchange(refresh_token))

    async def logout(self, refresh_token: str) -> None:
        """End the login; its access tokens live on until they expire."""
        await self._refresh.revoke(refresh_token)

    async def _pair(self, issued: IssuedRefresh) -> TokenPair:
        family = issued.family
        access = await self._access.issue(
            issued.user.subject, issued.user.roles, scopes=family.scopes, client_id=family.client_id
        )
        return TokenPair(access, issued.token, self._access.lifetime_s)
