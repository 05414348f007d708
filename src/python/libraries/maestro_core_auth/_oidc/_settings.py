"""Which provider is asked, and what its answers are worth here."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from maestro_core_auth._errors import InvalidGrant
from maestro_core_auth._records import check_grant

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Those that an ID token may be signed with; `EdDSA` is Ed25519, under either name."""


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """Which values of a claim, a list of texts or one text, give which role here; all others give none."""

    claim: str
    roles: Mapping[str, str]

    def roles_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The roles that these claims give."""
        value = claims.get(self.claim)
        values = value if isinstance(value, list) else [value]
        return frozenset(self.roles[one] for one in values if isinstance(one, str) and one in self.roles)


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """One client at one provider, as registered there; raises InvalidGrant for what cannot be safe.

    Every URL is https, or http on loopback. `redirect_uri` is sent as it is and never built from a request. Users are
    kept as `<subject_prefix>:<sub>`.
    """

    issuer: str
    client_id: str
    redirect_uri: str
    roles: RoleMapping
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid", "profile")
    algorithms: tuple[str, ...] = ALGORITHMS
    subject_prefix: str = "oidc"
    leeway_s: int = 30
    timeout_s: float = 10.0
    login_s: float = 600.0

    def __post_init__(self) -> None:
        if not is_safe_url(self.issuer) or urlsplit(self.issuer).query:
            raise InvalidGrant("the issuer is an https URL without a query, or http on loopback")
        if not is_safe_url(self.redirect_uri):
            raise InvalidGrant("the redirect URI is an https URL, or http on loopback, without a fragment")
        if "openid" not in self.scopes:
            raise InvalidGrant("the scopes have to hold `openid`")
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise InvalidGrant(f"the algorithms are some of {', '.join(ALGORITHMS)}")
        if not 0 <= self.leeway_s <= 120:
            raise InvalidGrant("leeway_s is from 0 to 120")
        check_grant(frozenset(self.roles.roles.values()))


def is_safe_url(url: object) -> bool:
    """Whether it is https, or http on loopback, with a host, and with neither credentials nor a fragment."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url or len(url) > 2048:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "#" in url or "\\" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
