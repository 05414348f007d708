"""Talks to the provider: bounded in size, time and number, and following nothing."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2

from maestro_core_auth._clock import Clock
from maestro_core_auth._errors import OidcLoginFailed, OidcUnavailable
from maestro_core_auth._jws import json_object, split
from maestro_core_auth._oidc._id_token import MAX_ID_TOKEN_CHARS, ProviderKey, provider_keys
from maestro_core_auth._oidc._settings import OidcSettings, is_safe_url

MAX_ANSWER_BYTES = 256 * 1024
KEEP_S = 3600.0
"""How long metadata and keys are believed without asking again."""
REFETCH_S = 60.0
"""How often keys are fetched at most because of a kid that is not among them."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the provider is asked what; from its discovery document."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    sends_issuer: bool


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the provider gave for a code."""

    id_token: str
    access_token: str


class Provider:
    """One provider, by its issuer."""

    def __init__(self, settings: OidcSettings, http: httpx2.AsyncClient, clock: Clock) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._metadata: tuple[datetime, Metadata] | None = None
        self._keys: tuple[datetime, dict[str, ProviderKey]] | None = None

    async def metadata(self) -> Metadata:
        """The discovery document, fetched when it is not known or too old; raises OidcUnavailable."""
        async with self._one_at_a_time:
            if self._metadata is None or self._age_s(self._metadata[0]) >= KEEP_S:
                url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                document = await self._json(self._http.build_request("GET", url))
                self._metadata = (self._clock(), _metadata(document, self._settings.issuer))
            return self._metadata[1]

    async def keys_for(self, id_token: str) -> Mapping[str, ProviderKey]:
        """The provider's keys, fetched again when the token names one that is not among them, and not too often."""
        metadata = await self.metadata()
        try:
            kid = split(id_token, max_chars=MAX_ID_TOKEN_CHARS).kid
        except ValueError as error:
            raise OidcLoginFailed(f"ID token: {error}") from None
        async with self._one_at_a_time:
            if self._keys is None or self._age_s(self._keys[0]) >= (KEEP_S if kid in self._keys[1] else REFETCH_S):
                document = await self._json(self._http.build_request("GET", metadata.jwks_uri))
                try:
                    self._keys = (self._clock(), provider_keys(document, self._settings.algorithms))
                except ValueError as error:
                    raise OidcUnavailable(f"its JWKS: {error}") from None
            return self._keys[1]

    async def tokens(self, code: str, verifier: str) -> Tokens:
        """Spend a code; raises OidcLoginFailed when the provider refuses it."""
        settings, metadata = self._settings, await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": settings.redirect_uri,
            "client_id": settings.client_id,
            "code_verifier": verifier,
        }
        headers = {}
        if settings.client_secret is not None:
            pair = f"{quote(settings.client_id, safe='')}:{quote(settings.client_secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        request = self._http.build_request("POST", metadata.token_endpoint, data=form, headers=headers)
        answer = await self._json(request, refusals=frozenset({400, 401}))
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise OidcLoginFailed("the provider gave no tokens for the code")
        return Tokens(id_token, access_token)

    async def _json(self, request: httpx2.Request, refusals: frozenset[int] = frozenset()) -> dict[str, Any]:
        """The JSON object that answers; raises OidcUnavailable for anything else."""
        request.headers["Accept"] = "application/json"
        # Nothing packed: what is small on the wire cannot grow here.
        request.headers["Accept-Encoding"] = "identity"
        place = f"{request.method} {request.url.copy_with(query=None)}"
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
                try:
                    body = await _bounded(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise OidcUnavailable(f"{place}: no whole answer within {self._settings.timeout_s} s") from None
        except httpx2.HTTPError as error:
            raise OidcUnavailable(f"{place}: {type(error).__name__}") from error
        if response.status_code in refusals:
            raise OidcLoginFailed("the provider refused the code")
        if response.status_code != 200 or body is None:
            reason = f"status {response.status_code}" if body is not None else f"more than {MAX_ANSWER_BYTES} bytes"
            raise OidcUnavailable(f"{place}: {reason}")
        try:
            return json_object(body)
        except ValueError as error:
            raise OidcUnavailable(f"{place}: {error}") from None

    def _age_s(self, at: datetime) -> float:
        # After a clock that went back nothing counts as fresh.
        age = self._clock() - at
        return age.total_seconds() if age >= timedelta(0) else KEEP_S


async def _bounded(response: httpx2.Response) -> bytes | None:
    """The body; None when it is too long, of which no more than the limit is ever held."""
    body = b""
    async for chunk in response.aiter_raw(16_384):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            return None
    return body


def _metadata(document: Mapping[str, Any], issuer: str) -> Metadata:
    if document.get("issuer") != issuer:
        raise OidcUnavailable("its discovery document names another issuer")
    urls = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(map(is_safe_url, urls)):
        raise OidcUnavailable("its discovery document lacks an endpoint, or names one that is not https")
    methods = document.get("code_challenge_methods_supported", ["S256"])
    if not isinstance(methods, list) or "S256" not in methods:
        raise OidcUnavailable("it does not do PKCE with S256")
    end = document.get("end_session_endpoint")
    return Metadata(
        authorization_endpoint=str(urls[0]),
        token_endpoint=str(urls[1]),
        jwks_uri=str(urls[2]),
        end_session_endpoint=str(end) if is_safe_url(end) else None,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )
