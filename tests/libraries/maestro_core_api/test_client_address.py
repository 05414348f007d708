"""Who is calling: the socket's address, and further only as far as trusted proxies say so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_api import InvalidApi
from maestro_core_api._client_address import ClientAddress

NOBODY = ClientAddress()
PROXIES = ClientAddress(["10.0.0.0/8", "fd00::1"])


def scope(peer: str | None, *forwarded: str) -> dict[str, object]:
    return {
        "client": None if peer is None else (peer, 1234),
        "headers": [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded],
    }


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_without_trusted_proxies_only_the_socket_counts(forwarded: str) -> None:
    assert NOBODY(scope("203.0.113.9", forwarded)) == "203.0.113.9"


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_a_stranger_cannot_say_who_he_is(forwarded: str) -> None:
    """Neither directly nor by what a proxy passes on in front of its own word."""
    assert PROXIES(scope("203.0.113.9", forwarded)) == "203.0.113.9"
    assert PROXIES(scope("10.0.0.1", f"{forwarded}, 203.0.113.9")) == "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7:5512"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8:1:2:3::9]:443"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2:3::9"], "2001:db8:1:2::/64"),
        ("fd00::1", ["198.51.100.7"], "198.51.100.7"),
        ("fd00::2", ["198.51.100.7"], "fd00::/64"),
        # What cannot be read ends the chain at the last one that is known.
        ("10.0.0.1", ["198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, ,10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.2"], "10.0.0.9"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        (None, ["198.51.100.7"], "local"),
        ("testclient", ["198.51.100.7"], "local"),
    ],
)
def test_the_chain_is_followed_from_the_socket_while_it_is_trusted(
    peer: str | None, forwarded: list[str], client: str
) -> None:
    assert PROXIES(scope(peer, *forwarded)) == client


def test_a_chain_without_end_is_not_followed_for_ever() -> None:
    assert PROXIES(scope("10.0.0.1", "1.2.3.4," + ",".join(["10.0.0.2"] * 100_000))) == "10.0.0.2"


def test_one_customer_of_ipv6_is_one_caller() -> None:
    assert NOBODY(scope("2001:db8::1")) == NOBODY(scope("2001:db8::ffff:2"))
    assert NOBODY(scope("2001:db8::1")) != NOBODY(scope("2001:db8:0:1::1"))


@pytest.mark.parametrize("proxies", [["nonsense"], ["10.0.0.1/8"], ["*"]])
def test_what_names_no_network_is_refused(proxies: list[str]) -> None:
    with pytest.raises(InvalidApi):
        ClientAddress(proxies)
