"""Reasons that may be shown: one bounded line in which no secret of a known shape is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_monitoring import clean_reason, reason_of

SECRET = "hunter2SECRET9"
SHAPES = [
    "postgres://app:{}@db:5432/shop refused",
    "redis://:{}@cache refused",
    "password={}",
    "PASSWORD: {}, user: me",
    "https://x.example/cb?token={}&state=7",
    '{{"api_key": "{}"}}',
    "{{'client_secret': '{}'}}",
    "Authorization: Bearer {}",
    "authorization=Basic {}",
    "cookie: session={}",
    "DB_PASSWORD={} failed",
    "x-api-key: {}",
    "aws_secret_access_key = {}",
]


@given(st.sampled_from(SHAPES), st.text(max_size=30), st.text(max_size=30))
def test_a_secret_in_a_known_shape_never_shows(shape: str, before: str, after: str) -> None:
    """Whatever stands around it."""
    assert SECRET not in clean_reason(f"{before} {shape.format(SECRET)} {after}")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_no_secret_stays(shape: str) -> None:
    """The host, the name of the setting, the rest of the text."""
    cleaned = clean_reason(f"cannot connect: {shape.format(SECRET)}")
    assert cleaned.startswith("cannot connect: ")
    assert "***" in cleaned


@given(st.text(max_size=3_000))
def test_a_reason_is_one_printable_bounded_line(text: str) -> None:
    """So that it breaks neither log nor JSON nor page."""
    cleaned = clean_reason(text)
    assert len(cleaned) <= 300
    assert cleaned.isprintable()


def test_tokens_without_a_name_are_masked_and_words_are_not() -> None:
    """JSON Web Tokens and long mixed runs; a path, a sentence and a UUID stay."""
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl"
    assert clean_reason(f"bad {jwt} here") == "bad *** here"
    assert clean_reason("key a3f9" + "Zx81" * 9) == "key ***"
    kept = "cannot open /var/lib/maestro/data/file1.sqlite of 0af76519-16cd-43dd-8448-eb211c80319c"
    assert clean_reason(kept) == kept


def test_an_error_without_text_is_its_type() -> None:
    """And a name in front of the text otherwise."""
    assert reason_of(TimeoutError()) == "TimeoutError"
    assert reason_of(ValueError("no")) == "ValueError: no"
