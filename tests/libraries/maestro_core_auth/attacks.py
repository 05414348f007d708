"""What an attacker does to a credential that he has seen."""

import base64
import json
from typing import Any

from hypothesis import strategies as st


@st.composite
def flipped(draw: st.DrawFn, text: str) -> str:
    """The text with one bit of one character flipped."""
    index = draw(st.integers(0, len(text) - 1))
    bit = draw(st.integers(0, 6))
    return text[:index] + chr(ord(text[index]) ^ (1 << bit)) + text[index + 1 :]


def mangled(text: str) -> st.SearchStrategy[str]:
    """The text changed anyhow, and never the text itself: bits, case, cuts, additions, or something else altogether."""
    places = st.integers(0, len(text))
    return st.one_of(
        flipped(text),
        st.sampled_from([text.upper(), text.lower(), text.swapcase(), text[::-1], text * 2, "", " ", f" {text}"]),
        st.builds(lambda cut: text[:cut], places),
        st.builds(lambda cut: text[cut:], places),
        st.builds(lambda at, more: text[:at] + more + text[at:], places, st.text(min_size=1, max_size=4)),
        st.text(max_size=200),
    ).filter(lambda changed: changed != text)


def jws_parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of a compact JWS."""
    header, claims, signature = token.split(".")
    return json.loads(_decoded(header)), json.loads(_decoded(claims)), signature


def jws(header: object, claims: object, signature: str) -> str:
    """A compact JWS of these parts, whether the signature fits or not."""
    return f"{_encoded(header)}.{_encoded(claims)}.{signature}"


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
