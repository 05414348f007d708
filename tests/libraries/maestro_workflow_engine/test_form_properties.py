"""Forms and their patterns, whatever is written into them."""

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_workflow_engine._form import answer_problems, check_form, filled, form_problems
from maestro_workflow_engine._form_pattern import MAX_PATTERN, BadPattern, Pattern

ATOMS = st.sampled_from(["a", "b", ".", "\\d", "\\W", "[ab]", "[^a]", "[a-c\\d]", "\\.", "^", "$", " ", "é"])
COUNTS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{1,3}?"])


def _quantified(inner: "st.SearchStrategy[str]") -> "st.SearchStrategy[str]":
    atom = st.one_of(ATOMS, inner.map(lambda text: f"({text})"), inner.map(lambda text: f"(?:{text})"))
    piece = st.tuples(atom, COUNTS).map(lambda pair: pair[0] if pair[0] in "^$" else "".join(pair))
    sequence = st.lists(piece, max_size=4).map("".join)
    return st.lists(sequence, min_size=1, max_size=3).map("|".join)


PATTERNS = st.recursive(st.just("a"), _quantified, max_leaves=6)


@settings(max_examples=500, deadline=None)
@given(source=PATTERNS, text=st.text("abc1é. \n", max_size=8))
def test_patterns_match_what_regular_expressions_match(source: str, text: str) -> None:
    """Held against those of Python, of which this is a subset."""
    python = re.sub(r"(?<!\\)\$", r"\\Z", source).replace("\\d", "[0-9]").replace("[a-c[0-9]]", "[a-c0-9]")
    assert Pattern(source).is_in(text) == bool(re.search(python, text, re.ASCII))


@pytest.mark.parametrize("source", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(a*)*b", "(.*a){20}", "^((a?){30}){30}$"])
def test_no_pattern_takes_long(source: str) -> None:
    """The worst patterns, each against the longest text that a pattern is held against."""
    began = time.process_time()
    Pattern(source).is_in("a" * 1_000 + "!")
    assert time.process_time() - began < 5


NO_PATTERNS = (
    "( ) [a a** *a (?=a) (?P<n>a) (?i)a \\1 \\b \\p{L} \\ a{2,1} a{x} a{ [b-a] [\\d-z] ((a{500}){500}) \\x1 \\u12"
)


@pytest.mark.parametrize(
    "source", [*NO_PATTERNS.split(), "a{999}", "a{-1}", "a" * (MAX_PATTERN + 1), "(" * 40 + ")" * 40]
)
def test_what_is_no_pattern_of_the_subset_is_refused(source: str) -> None:
    """With the reason."""
    with pytest.raises(BadPattern, match="the pattern"):
        Pattern(source)


@given(source=st.text(max_size=30))
def test_reading_any_text_as_a_pattern_ends(source: str) -> None:
    """It is one, or it is refused."""
    try:
        pattern = Pattern(source)
    except BadPattern:
        return
    assert pattern.is_in("some text 1.") in (True, False)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
WORDS = st.sampled_from(
    ["type", "properties", "required", "enum", "oneOf", "const", "items", "default", "pattern", "format", "minLength"]
)
SHAPES = st.recursive(
    ANYTHING | st.sampled_from(["string", "array", "integer", "object", "boolean", "number", "^a", "uri"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    [
        {"type": "string", "maxLength": 3},
        {"type": "string", "enum": ["a", "b"], "default": "a"},
        {"type": "string", "pattern": "a+b"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 0, "default": 1},
        {"type": "number", "maximum": 1},
        {"type": "boolean"},
        {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 1},
    ]
)


@settings(max_examples=300)
@given(shape=SHAPES)
def test_whatever_is_given_as_a_form_is_judged(shape: Any) -> None:
    """Nothing that could be written into a form makes the check fail; what passes is usable."""
    if not check_form(shape):
        form_problems(shape, filled(shape, {}))


@settings(max_examples=300)
@given(
    fields=st.dictionaries(st.sampled_from(["x", "y", "z"]), FIELDS, max_size=3),
    data=st.dictionaries(st.sampled_from(["x", "y", "w"]), ANYTHING | st.sampled_from(["a", "aab", 1]), max_size=3),
    is_partial=st.booleans(),
)
def test_whatever_is_answered_is_judged(fields: dict[str, Any], data: dict[str, Any], is_partial: bool) -> None:
    """Each problem names a field that was given or is required, and an answer without problems stays so once filled."""
    form: dict[str, Any] = {"type": "object", "properties": fields, "required": sorted(fields)}
    assert check_form(form) == []
    problems = form_problems(form, data, is_partial=is_partial)
    assert {problem.path.split("/")[1] for problem in problems} <= {*fields, *data}
    if not problems and not is_partial:
        assert form_problems(form, filled(form, data)) == []
    assert isinstance(answer_problems({"kind": "approval", "form": form}, {"approved": True, "data": data}), list)
