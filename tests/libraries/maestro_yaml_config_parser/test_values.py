"""What a text means: types as YAML 1.2 and JSON have them, and no surprises."""

from pathlib import Path
from typing import Any

import pytest

from maestro_yaml_config_parser import BadSyntax, BadValue, YamlError, load_yaml, load_yaml_file

STRINGS = [
    *["no", "No", "NO", "yes", "on", "On", "off", "y", "n", "nUll", "tRue", "None", "nil"],
    *["12:30:00", "1:30", "190:20:30", "2026-11-21", "2026-11-21T12:00:00Z", "10.0.0.1", "1.2.3"],
    *["010", "007", "0o17", "0x1F", "0b11", "1_000", "1,000", "+", ".", "-.", "1e", "e1", "--1", "1-", "00", "08"],
    *["=", "<<x", "a b", "x:y", "http://x/y?z=1", "-a", "é", "😀", "1.5.", "0.0.0", "+010", "-007", "NaN", "Infinity"],
]
TYPED: list[tuple[str, Any]] = [
    *(("null", None), ("Null", None), ("NULL", None), ("~", None), ("true", True), ("True", True), ("FALSE", False)),
    *(("0", 0), ("-1", -1), ("+1", 1), ("12", 12), ("18446744073709551615", 2**64 - 1), ("-0", 0)),
    *(("1.0", 1.0), ("-0.5", -0.5), ("1.", 1.0), (".5", 0.5), ("1e3", 1000.0), ("1.5E-3", 0.0015), ("+1.5e+2", 150.0)),
]


@pytest.mark.parametrize("text", STRINGS)
def test_text_that_other_parsers_change_stays_text(text: str) -> None:
    """Countries, times, dates, versions, octal and hexadecimal numbers are strings unless YAML 1.2 says otherwise."""
    assert load_yaml(f"a: {text}").data == {"a": text}


@pytest.mark.parametrize(("text", "value"), TYPED)
def test_null_booleans_and_numbers_are_typed(text: str, value: Any) -> None:
    """Null, true, false and numbers as JSON writes them have their types."""
    loaded = load_yaml(f"- {text}").data[0]
    assert loaded == value
    assert type(loaded) is type(value)


@pytest.mark.parametrize("text", ["'{}'", '"{}"'])
@pytest.mark.parametrize("inner", ["1", "true", "null", "~", "no", "", "1e3", "<<", ".inf"])
def test_quoted_text_is_text(text: str, inner: str) -> None:
    """Quotes make a string of anything."""
    assert load_yaml(f"a: {text.format(inner)}").data == {"a": inner}


def test_blocks_keep_their_lines() -> None:
    """Literal and folded blocks, with chomping, indentation and tabs inside, are read as YAML says."""
    text = "a: |\n  x\n    y\tz\n\n  'q'\nb: >-\n  one\n  two\nc: |2\n  \tindented\nd: |+\n  x\n\n"
    text += 'e: "f\\tg\\u00e9\\U0001F600"\n'
    assert load_yaml(text).data == {
        "a": "x\n  y\tz\n\n'q'\n",
        "b": "one two",
        "c": "\tindented\n",
        "d": "x\n\n",
        "e": "f\tgé😀",
    }


def test_collections_of_both_styles() -> None:
    """Block and flow style, nested either way, give the same data."""
    text = "a:\n- 1\n-\n  - b: {c: [x, 'y', {}], d: []}\n? e\n: f\ng:\n"
    assert load_yaml(text).data == {"a": [1, [{"b": {"c": ["x", "y", {}], "d": []}}]], "e": "f", "g": None}


def test_a_single_value_is_a_document() -> None:
    """A document need not be a mapping; null must be written."""
    assert load_yaml("just text").data == "just text"
    assert load_yaml("--- 3\n...\n").data == 3
    assert load_yaml("null").data is None
    assert load_yaml("''").data == ""


def test_an_alias_repeats_a_value_as_a_copy() -> None:
    """Anchors and aliases work, and what they give is not shared."""
    data = load_yaml("a: &x {b: [1, 2]}\nc: *x\nd: [*x, &y z, *y, &e , *e]\n").data
    assert data == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": [{"b": [1, 2]}, "z", "z", None, None]}
    data["a"]["b"].append(3)
    assert data["c"] == {"b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{\n\t"a": [1,\n\t\t2.5e1]\n}', {"a": [1, 25.0]}),
        ('{"a":1,"b":{"c":[]},"d":{}}', {"a": 1, "b": {"c": []}, "d": {}}),
        (r'"\ud83d\ude00 \/ \u0000 \b"', "😀 / \0 \b"),
        ('["\u2028\x7f\x85\ufeff"]', ["\u2028\x7f\x85\ufeff"]),
        ('{"' + "k" * 5000 + '": "on"}', {"k" * 5000: "on"}),
        ('{"a"\n:\n1}', {"a": 1}),
        ('{"<<": 1, "1": 2, "": 3}', {"<<": 1, "1": 2, "": 3}),
        ("[-0, -0.0, 1E5, true, false, null]", [0, -0.0, 100000.0, True, False, None]),
        ('  \n "text"  ', "text"),
    ],
    ids=lambda value: str(value)[:20].encode("unicode_escape").decode(),
)
def test_json_means_what_json_says(text: str, value: Any) -> None:
    """Strict JSON is read as JSON, also where YAML would refuse it or read it otherwise."""
    assert load_yaml(text).data == value
    assert load_yaml(text, file="x.json").data == value


def test_what_only_begins_like_json_is_yaml() -> None:
    """Flow style with unquoted text is YAML, unless the file says that it is JSON."""
    text = "{a: no, b: [x, 01]}"
    assert load_yaml(text).data == {"a": "no", "b": ["x", "01"]}
    with pytest.raises(BadSyntax, match=r"^x\.JSON:1:2: this is not JSON: expected a key in double quotes, not 'a'$"):
        load_yaml(text, file="x.JSON")
    with pytest.raises(BadSyntax, match="this is not JSON: expected a value, but the text ends"):
        load_yaml("", file="x.json")


@pytest.mark.parametrize(
    "text", ["[1,]", "[01]", '{"a" 1}', '{"a":}', "[1", '["a\nb"]', '["\\x"]', "nul", "[1] 2", "[NaN]"]
)
def test_a_json_file_is_strict(text: str) -> None:
    """In a .json file nothing but JSON is taken."""
    with pytest.raises(BadSyntax, match="this is not JSON"):
        load_yaml(text, file="x.json")


@pytest.mark.parametrize("text", ['["\\ud800"]', "[1e999]", "[18446744073709551616]"])
def test_a_json_file_holds_no_impossible_values(text: str) -> None:
    """Halves of surrogate pairs and numbers out of range are refused in JSON too."""
    with pytest.raises(BadValue):
        load_yaml(text, file="x.json")
    with pytest.raises(YamlError):
        load_yaml(text)


def test_a_file_is_read_from_bytes(tmp_path: Path) -> None:
    """A file is UTF-8 with either kind of line ends, and its name is in the document."""
    path = tmp_path / "é.yml"
    path.write_bytes("a: é\r\nb: |\r\n  x\r\n  y\r\n".encode())
    document = load_yaml_file(path)
    assert document.data == {"a": "é", "b": "x\ny\n"}
    assert document.file == str(path)
    assert load_yaml(path.read_bytes()).file is None
