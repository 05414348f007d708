"""No secret is left in what was masked, however it is written there."""

import base64
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._secrets import (
    EnvironmentSecrets,
    Masker,
    SecretNotFound,
    StreamMasker,
    masked,
    masked_text,
)

ANY = st.text(st.characters(codec="utf-8"), max_size=30)
SECRETS = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=4, max_size=40),
    st.text("ab*•+/=%\\\"'<>&\n\r u0", min_size=4, max_size=12),
    st.text("0123456789", min_size=4, max_size=8),
)


def lower_codes(text: str) -> str:
    """A URL with the codes in it in lower case."""
    return re.sub("%..", lambda code: code[0].lower(), text)


def written(secret: str) -> Iterable[str]:
    """The value in every form that is promised."""
    data = secret.encode()
    yield from (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield from (json.dumps(json.dumps(secret))[1:-1].removeprefix('\\"').removesuffix('\\"'), repr(secret)[1:-1])
    yield from (quote(secret), quote(secret, ""), quote_plus(secret), lower_codes(quote(secret, "")))
    yield from (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode().rstrip("="))


@given(st.lists(SECRETS, min_size=1, max_size=3), st.lists(ANY, min_size=1, max_size=4), st.data())
@example(["****", "wxyz"], ["*", "wxyz", "*"], None)
@example(["abab", "babc"], ["ababab", "abc"], None)
def test_no_form_of_a_secret_is_left_in_a_text(secrets: list[str], between: list[str], data: Any) -> None:
    """Wherever and however often it stands there, by itself or touching another one."""
    forms = [form for secret in secrets for form in written(secret)]
    parts = [part for text in between for part in (text, data.draw(st.sampled_from(forms)) if data else "")]
    clean = masked_text("".join(parts), secrets)
    assert [form for form in forms if form in clean] == []


@given(SECRETS, st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_within_longer_base64_is_found(secret: str, before: bytes, after: bytes) -> None:
    """As in the header of basic sign-in, where the name of the user comes first."""
    for alphabet in (b"+/", b"-_"):
        text = base64.b64encode(before + secret.encode() + after, altchars=alphabet).decode()
        clean = masked_text(text, [secret])
        assert clean != text
        for run in re.findall(r"[\w+/-]+", clean, re.ASCII):
            for start in range(4):
                whole = run[start:][: (len(run) - start) // 4 * 4]
                assert secret.encode() not in base64.b64decode(whole, altchars=alphabet)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY, inner, max_size=3),
    max_leaves=8,
)


@given(SECRETS, JSONS)
def test_nothing_changes_where_no_secret_is(secret: str, value: JSON) -> None:
    """Data without a secret in any form comes back equal; and masking twice is masking once."""
    once = masked(value, [secret])
    assert masked(once, [secret]) == once
    if not any(form in text for form in Masker([secret])._forms for text in texts_of(value)):
        assert once == value


def texts_of(value: JSON) -> Iterable[str]:
    """Every text, name and number in the data."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from texts_of(member)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif not isinstance(value, bool) and value is not None:
        yield str(value)


@given(SECRETS, JSONS, st.data())
def test_no_secret_is_left_anywhere_in_json(secret: str, value: JSON, data: Any) -> None:
    """In texts, in names and as a number, at any depth; no member is lost when two names become the same."""
    form = data.draw(st.sampled_from(list(written(secret))))
    holder: dict[str, JSON] = {form: value, f"x{form}": [form, {"in": f"a{form}b"}], secret: 1}
    clean = masked(holder, [secret])
    assert isinstance(clean, dict)
    assert len(clean) == len(holder)
    assert all(secret not in text for text in texts_of(clean))


def test_names_that_become_the_same_are_all_kept() -> None:
    """However many there are, also beside one that looks like a mask from the beginning."""
    value: dict[str, JSON] = {"***": 0, **{"abcd" * count: -count for count in range(1, 1301)}}
    clean = masked(value, ["abcd", "*200", "•1234"])
    assert isinstance(clean, dict)
    assert list(clean.values()) == list(value.values())
    assert masked({"***": 0, "abcd": 1, "abcdabcd": 2}, ["abcd"]) == {"***": 0, "****2": 1, "****3": 2}
    assert not any(secret in name for name in clean for secret in ("abcd", "*200", "1234"))


def test_a_secret_of_digits_is_no_number_afterwards() -> None:
    """A PIN that a step printed is read as a number; the result must not show it."""
    assert masked({"pin": 481516, "n": 1, "yes": True, "none": None}, ["481516"]) == {
        "pin": "***",
        "n": 1,
        "yes": True,
        "none": None,
    }


KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEFAASC\nab\n-----END KEY-----\n"


def test_a_secret_of_several_lines_is_found_line_by_line() -> None:
    """Also when a tool shows its lines apart; lines of under 6 characters alone are left."""
    text = "first kqhkiG9w0BAQEFAASC, then MIIEvQIBADANBg and ab"
    assert masked_text(text, [KEY]) == "first ***, then *** and ab"
    assert masked_text(f"whole: {KEY}", [KEY]) == "whole: ***"
    assert masked_text(KEY.strip().replace("\n", "\r\n"), [KEY]).count("\n") == 4


def test_a_long_secret_is_found_in_base64_that_was_wrapped() -> None:
    """`base64` breaks lines at 76 characters, openssl at 64."""
    secret = "".join(chr(43 + number % 80) for number in range(200))
    whole = base64.b64encode(secret.encode()).decode()
    for width in (64, 76):
        text = "\n".join(whole[at : at + width] for at in range(0, len(whole), width))
        assert set(masked_text(text, [secret])) <= set("*=\n")


def test_values_of_under_four_characters_are_left() -> None:
    """They stand in every text by chance."""
    assert masked_text("abc abcd", ["abc", "", " "]) == "abc abcd"
    assert masked_text("abc abcd", ["abc", "abcd"]) == "abc ***"


def test_masking_takes_time_in_proportion_to_the_text() -> None:
    """A text that almost holds the secret everywhere, and one that holds nothing else, are done at once."""
    secret = "a" * 5000 + "b"
    assert masked_text("a" * 3_000_000, [secret]) == "a" * 3_000_000
    assert masked_text("abcd" * 500_000, ["abcd"]) == "***"


@given(st.lists(SECRETS, min_size=1, max_size=2), st.lists(st.one_of(ANY, SECRETS), max_size=5), st.data())
def test_a_text_in_parts_is_masked_like_the_whole(secrets: list[str], texts: list[str], data: Any) -> None:
    """Wherever it is cut, no secret comes out, and nothing else is lost."""
    pieces = [piece for text in texts for piece in (text, data.draw(st.sampled_from(secrets)))]
    whole = "".join(pieces)
    stream = StreamMasker(Masker(secrets))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    ends = [0, *cuts, len(whole)]
    shown = [stream.feed(whole[begin:end]) for begin, end in pairwise(ends)]
    came = "".join([*shown, stream.flush()])
    assert all(secret not in came for secret in secrets)
    if not any(secret in whole for secret in Masker(secrets)._forms):
        assert came == whole


def test_lines_come_out_as_they_end() -> None:
    """Whoever watches a command sees each line at once, and the unfinished one at the end."""
    stream = StreamMasker(Masker(["hidden-value"]))
    assert stream.feed("one\ntwo hid") == "one\n"
    assert stream.feed("den-value th") == ""
    assert stream.feed("ree\nfour") == "two *** three\n"
    assert stream.flush() == "four"
    assert stream.flush() == ""


def test_a_key_of_many_lines_holds_no_line_back() -> None:
    """Each of its lines is hidden by itself; only one of short lines alone has to be waited for."""
    stream = StreamMasker(Masker([KEY]))
    shown = [stream.feed(line) for line in KEY.splitlines(keepends=True)]
    assert shown == ["***\n", "***\n", "***\n", "ab\n", "***\n"]
    short = StreamMasker(Masker(["ab\ncd"]))
    assert [short.feed("x\n"), short.feed("ab\n"), short.feed("cd\n"), short.flush()] == ["", "x\n", "***", "\n"]


def test_a_line_without_end_is_held_back_only_so_far() -> None:
    """Memory stays bounded, and a secret across the places where it is cut is found all the same."""
    stream = StreamMasker(Masker(["hidden-value"]))
    longest_held = came = 0
    for number in range(40):
        part = "ue" + "y" * 9_998 if number % 2 else "x" * 9_990 + "hidden-val"
        out = stream.feed(part)
        assert "hidden-value" not in out
        came += len(out)
        longest_held = max(longest_held, stream._held_chars)
    assert longest_held < 100_000
    assert came > 250_000


def test_secrets_come_from_the_environment() -> None:
    """By their prefix; what is not set, or empty, is told by its name and never by a value."""
    source = EnvironmentSecrets(environment={"MAESTRO_SECRET_TOKEN": "tock", "MAESTRO_SECRET_NONE": "", "PATH": "x"})
    assert "tock" not in repr(source)
    assert "tock" not in repr(Masker(["tock"]))


@pytest.mark.parametrize("name", ["NONE", "OTHER", "", "../TOKEN", "A" * 70, "TO\x00KEN", "ü"])
async def test_a_secret_that_is_not_there_is_named(name: str) -> None:
    """The error is one that no retry helps against, and says which variable to set."""
    source = EnvironmentSecrets(environment={"MAESTRO_SECRET_TOKEN": "tock", "MAESTRO_SECRET_NONE": ""})
    assert await source.get("TOKEN") == "tock"
    with pytest.raises(SecretNotFound, match="MAESTRO_SECRET_") as found:
        await source.get(name)
    assert (found.value.code, found.value.retryable) == ("workflow.secret-not-found", False)
    assert "tock" not in str(found.value)


def test_bytes_in_parts_are_scanned_across_their_cuts() -> None:
    """The secret in any form is found when its last byte has come, and not before."""
    scan = Masker(["hidden-value"]).scan()
    assert not scan.holds(b"x" * 50 + b"hidden-")
    assert scan.holds(b"value")
    scan = Masker(["hidden-value"]).scan()
    assert scan.holds(base64.b64encode(b"user:hidden-value"))
    assert not Masker([]).scan().holds(b"anything")
