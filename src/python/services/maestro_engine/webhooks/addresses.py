"""Where webhooks may go: to addresses of the world, to those of the house only where that is allowed."""

import asyncio
import ipaddress
import socket
from typing import TypeAlias
from urllib.parse import urlsplit

from maestro_engine.webhooks.errors import AddressRefused, NotDelivered

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url(url: str) -> None:
    """Raises AddressRefused for a URL that no webhook can have."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("the URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise AddressRefused("the URL is http://host/… or https://host/…")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL must not hold a user name or password: the signature tells who sends")


async def check_address(url: str, *, may_be_private: bool) -> None:
    """Raises AddressRefused when the name leads to an address that is closed to webhooks, NotDelivered when to none."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotDelivered(f"the host has no address: {error.strerror or error}") from error
    for *_, address in found:
        if not is_open(ipaddress.ip_address(str(address[0]).partition("%")[0]), may_be_private=may_be_private):
            raise AddressRefused("the host leads to an address that is closed to webhooks")


def is_open(address: Address, *, may_be_private: bool) -> bool:
    """Whether a webhook may go there; link-local ones, where clouds keep their credentials, are closed to all."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return may_be_private
    if address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved:
        return False
    return may_be_private or address.is_global
