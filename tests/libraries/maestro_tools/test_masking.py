"""No secret gets out in what a tool said."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from maestro_tools._masking import Masker, Tail

letters = st.text(alphabet="ab1é", max_size=40)
secrets = st.lists(st.text(alphabet="xyz☕", min_size=4, max_size=12), min_size=1, max_size=4)


@given(st.lists(letters | st.integers(0, 3), max_size=20), secrets)
def test_no_secret_survives_masking(pieces: list[str | int], hidden: list[str]) -> None:
    """Wherever it stands, and also when one secret holds another."""
    text = "".join(piece if isinstance(piece, str) else hidden[piece % len(hidden)] for piece in pieces)
    masked = Masker(hidden).mask(text)
    assert not any(secret in masked for secret in hidden)


@given(
    secret=st.text(alphabet="xyz☕", min_size=4, max_size=30),
    before=st.integers(0, 200),
    after=st.integers(0, 200),
    cuts=st.lists(st.integers(0, 500), max_size=8),
)
def test_tail_shows_no_part_of_a_secret_that_it_cut(secret: str, before: int, after: int, cuts: list[int]) -> None:
    """The tail begins anywhere; a secret that it cuts in two is gone altogether."""
    data = ("a" * before + secret + "b" * after).encode()
    tail = Tail(Masker([secret]), limit_bytes=100)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        tail.feed(data[start:end])
    assert not set(tail.text()) & set("xyz☕")
    assert tail.text().endswith("b" * min(after, 60))


def test_tail_is_bounded() -> None:
    """Megabytes go in, and eight kilobytes stay."""
    tail = Tail(Masker())
    for number in range(10_000):
        tail.feed(b"%099d\n" % number)
    assert tail.text().startswith("…")
    assert tail.text().endswith("9999")
    assert len(tail.text()) <= 8192 + 1


def test_common_short_values_are_left() -> None:
    """`1` and `on` are no secrets; hiding them would hide everything."""
    assert Masker(["1", "on", ""]).mask("1 connection on port 10") == "1 connection on port 10"


def test_excerpt_is_masked_before_it_is_cut() -> None:
    """Half a secret at the end would be half a secret too many."""
    assert Masker(["hunter2hunter2"]).excerpt("xx hunter2hunter2 yy", 9) == "xx *** yy"
    assert Masker(["hunter2hunter2"]).excerpt("xx hunter2hunter2 yy", 5) == "xx **…"
