"""Entity tags: how they are read, when two are the same, and what the conditions of a request decide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_api import BadEntityTag, ETag, Verdict, etag_of, parse_etag, parse_etags, verdict

OPAQUE = st.text(st.sampled_from([chr(code) for code in (0x21, *range(0x23, 0x7F), *range(0x80, 0x100))]), max_size=12)
TAGS = st.builds(ETag, OPAQUE, st.booleans())


@given(st.lists(TAGS, min_size=1, max_size=20), st.sampled_from([",", ", ", " ,\t", ",, ,"]))
def test_a_list_of_tags_is_read_as_it_was_written(tags: list[ETag], separator: str) -> None:
    """Commas inside the quotes belong to the tag; empty members of the list count for nothing."""
    assert parse_etags(separator.join(map(str, tags))) == tuple(tags)


@given(TAGS)
def test_one_tag_is_read_as_it_was_written(tag: ETag) -> None:
    assert parse_etag(str(tag)) == tag


@given(st.text(max_size=60))
def test_no_header_does_more_than_be_refused(header: str) -> None:
    """What is read at all means the same when it is written again."""
    try:
        tags = parse_etags(header)
    except BadEntityTag:
        return
    assert tags == "*" or parse_etags(", ".join(map(str, tags))) == tags


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        ",",
        "abc",
        '"',
        '"a',
        'a"',
        '"a" "b"',
        'w/"a"',
        'W / "a"',
        "W/a",
        '*, "a"',
        '"a", *',
        '"a\x00"',
        '"a b"',
        '"a\r\nX: y"',
        '"é€"',
        '"a"' + ',"a"' * 100,
        '"' + "a" * 9000 + '"',
        " " * 8000 + "x",
        "," * 9000,
        '"a",' + " " * 9000,
    ],
)
def test_what_is_no_list_of_tags_is_refused(header: str) -> None:
    with pytest.raises(BadEntityTag):
        parse_etags(header)


@given(TAGS, TAGS)
def test_strong_comparison_is_weak_comparison_of_two_strong_tags(one: ETag, other: ETag) -> None:
    """RFC 9110, 8.8.3.2; both ways round."""
    assert one.is_strongly(other) == other.is_strongly(one) == (one == other and not one.weak)
    assert one.is_weakly(other) == other.is_weakly(one) == (one.opaque == other.opaque)


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
    ],
)
def test_the_examples_of_the_rfc_hold(one: str, other: str, strong: bool, weak: bool) -> None:
    first, second = parse_etag(one), parse_etag(other)
    assert (first.is_strongly(second), first.is_weakly(second)) == (strong, weak)


@pytest.mark.parametrize(
    ("method", "if_match", "if_none_match", "current", "expected"),
    [
        ("GET", None, None, '"1"', Verdict.PROCEED),
        ("GET", None, '"1"', '"1"', Verdict.NOT_MODIFIED),
        ("HEAD", None, 'W/"1"', '"1"', Verdict.NOT_MODIFIED),
        ("GET", None, '"2", "1"', 'W/"1"', Verdict.NOT_MODIFIED),
        ("GET", None, '"2"', '"1"', Verdict.PROCEED),
        ("GET", None, "*", '"1"', Verdict.NOT_MODIFIED),
        ("GET", None, "*", None, Verdict.PROCEED),
        ("PUT", None, "*", None, Verdict.PROCEED),
        ("PUT", None, "*", '"1"', Verdict.FAILED),
        ("PUT", '"1"', None, '"1"', Verdict.PROCEED),
        ("PUT", '"0", "1"', None, '"1"', Verdict.PROCEED),
        ("PUT", 'W/"1"', None, '"1"', Verdict.FAILED),
        ("PUT", '"1"', None, 'W/"1"', Verdict.FAILED),
        ("PUT", "*", None, 'W/"1"', Verdict.PROCEED),
        ("PUT", "*", None, None, Verdict.FAILED),
        ("DELETE", '"2"', None, '"1"', Verdict.FAILED),
        # If-Match goes first: a read of something else fails, whatever the caller has.
        ("GET", '"2"', '"1"', '"1"', Verdict.FAILED),
        ("GET", '"1"', '"1"', '"1"', Verdict.NOT_MODIFIED),
    ],
)
def test_conditions_are_evaluated_in_the_order_of_the_rfc(
    method: str, if_match: str | None, if_none_match: str | None, current: str | None, expected: Verdict
) -> None:
    tag = None if current is None else parse_etag(current)
    assert verdict(method, if_match=if_match, if_none_match=if_none_match, current=tag) is expected


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_other_bytes_have_another_tag(one: bytes, other: bytes) -> None:
    assert (etag_of(one) == etag_of(other)) == (one == other)
    assert parse_etag(str(etag_of(one))) == etag_of(one)


def test_a_version_is_its_own_tag() -> None:
    assert str(etag_of(7)) == '"7"'
    assert str(etag_of("rev-9", weak=True)) == 'W/"rev-9"'
    with pytest.raises(ValueError, match="without quotes"):
        etag_of('say "hi"')
