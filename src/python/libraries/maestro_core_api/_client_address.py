"""Who is calling, by the address: of the socket, and of what trusted proxies say."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Final, TypeAlias

from starlette.types import Scope

from maestro_core_api._errors import InvalidApi

_Address: TypeAlias = IPv4Address | IPv6Address
_MAX_HOPS: Final = 20


class ClientAddress:
    """The address that a request comes from; `trusted_proxies` are addresses and networks, by default none.

    X-Forwarded-For counts only as far as trusted proxies wrote it, read from its end; whoever else writes it can only
    write into what nobody reads. An IPv6 client is its /64, which is what one customer has.
    """

    def __init__(self, trusted_proxies: Sequence[str] = ()) -> None:
        try:
            self._trusted: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, trusted_proxies))
        except ValueError as error:
            raise InvalidApi(f"trusted_proxies: {error}") from error

    def __call__(self, scope: Scope) -> str:
        """The client's address or network as text; `local` where the socket has none (a Unix socket)."""
        socket = _parsed((scope.get("client") or ("",))[0])
        if socket is None:
            return "local"
        client = socket
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = reversed(b",".join(forwarded).decode("latin-1").split(","))
        for hop in islice(hops, _MAX_HOPS):
            if not self._trusts(client):
                break
            said = _parsed(hop.strip())
            if said is None:
                break
            client = said
        return _text(client)

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self._trusted)


def _parsed(text: str) -> _Address | None:
    """An address, as a socket or a proxy writes it: with a port, with brackets, or bare; None if it is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _text(address: _Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, 64), strict=False))
