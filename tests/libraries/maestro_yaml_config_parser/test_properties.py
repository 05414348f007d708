"""Laws of loading, for all texts and data that Hypothesis thinks of."""

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_yaml_config_parser import Document, Limits, YamlError, load_yaml
from maestro_yaml_config_parser._load import yaml_document
from maestro_yaml_config_parser._yaml import FAST_LOADER, PURE_LOADER

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "no",
        "on",
        "12:30",
        "1e3",
        "0o7",
        "~",
        "<<",
        "=",
        "a: b",
        "- x",
        "#",
        " x ",
        "x\n",
        "\n",
        "\t",
        "'",
        '"',
        "*a",
        "&a",
        "!",
        "%",
        "|",
    ]
)
DATA: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4),
    max_leaves=12,
)


class Quoting(yaml.SafeDumper):
    """Writes strings in double quotes, because YAML 1.1 leaves some bare that YAML 1.2 reads as numbers."""


yaml.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'), Dumper=Quoting
)
Quoting.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]  # as PyYAML's documentation has it


def as_yaml(data: Any, flow: bool | None) -> str:
    text: str = yaml.dump(
        data, Dumper=Quoting, default_flow_style=flow, allow_unicode=False, width=10**6, sort_keys=False
    )
    return text


@UNHURRIED
@given(data=DATA, flow=st.sampled_from([True, False, None]))
def test_what_is_written_as_yaml_is_read_back(data: Any, flow: bool | None) -> None:
    """Dumping and loading gives the same data, types included."""
    assert json.dumps(load_yaml(as_yaml(data, flow)).data) == json.dumps(data)


@UNHURRIED
@given(data=DATA, indent=st.sampled_from([None, 0, 2, "\t"]), ascii_only=st.booleans())
def test_what_is_written_as_json_is_read_back(data: Any, indent: int | str | None, ascii_only: bool) -> None:
    """JSON in any layout is read as JSON reads it, and its order of keys is kept."""
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    assert json.dumps(load_yaml(text, file="x.json").data) == json.dumps(data)


@UNHURRIED
@given(data=DATA, flow=st.sampled_from([True, False, None]), as_json=st.booleans())
def test_positions_point_at_the_text_of_the_value(data: Any, flow: bool | None, as_json: bool) -> None:
    """Reading on from the position of any value or key gives that very value or key."""
    text = json.dumps(data, indent=1) if as_json else as_yaml(data, flow)
    document = load_yaml(text)
    lines = text.split("\n")
    for pointer, value in parts_of(document.data, ""):
        line, column = document.positions[pointer]
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert begins_with(rest, value), (pointer, rest)
        if pointer in document.key_positions:
            line, column = document.key_positions[pointer]
            key = pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
            assert begins_with(lines[line - 1][column - 1 :].removeprefix("? "), key)
    assert set(document.positions) == {pointer for pointer, _ in parts_of(document.data, "")}


def parts_of(data: Any, pointer: str) -> list[tuple[str, Any]]:
    parts = [(pointer, data)]
    members = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, member in members:
        parts += parts_of(member, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    return parts


def begins_with(text: str, value: Any) -> bool:
    """Whether a text begins with a value as our writers write it."""
    if isinstance(value, dict) and value:
        return text.startswith("{") or begins_with(text.removeprefix("? "), next(iter(value)))
    if isinstance(value, list) and value:
        return text.startswith(("[", "- "))
    if isinstance(value, str):
        return text.startswith('"')
    return text.startswith((as_yaml(value, None).split("\n")[0], json.dumps(value)))


WORDS = [
    "a",
    "b: ",
    "- ",
    "\n",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "? ",
    "&x ",
    "*x",
    "'",
    '"',
    "|\n",
    ">-\n",
    "#c",
    "---\n",
]
WORDS += [
    "...\n",
    "%YAML 1.2\n",
    "%x\n",
    "true",
    "~",
    "''",
    '"\\n"',
    "\\",
    "é",
    "😀",
    "@",
    "`",
    "<<: ",
    "1.5",
    "=",
    "\r\n",
    "\r",
]
WORDS += [
    "\t",
    " \t",
    "\t# x\n",
    "|\n  \tx\n",
    "  y\n",
    "'\t'",
    "x:y",
    "a?",
    "x:",
    "-",
    "::",
    ",",
    "|2\n",
    "|#\n",
    "!t ",
    "a1 |\n",
]
WORDS += [
    "  ",
    "|+\n\n",
    ">2 #c\n",
    "x\n",
    '"a\n b"',
    "\x00",
    "\u2028",
    "\ufeff",
    '"\\ud800"',
    '"\\UFFFFFFFF"',
    "1e999",
    ".inf",
]
NOISE = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)


@settings(UNHURRIED, max_examples=500)
@given(text=NOISE | st.text())
def test_libyaml_and_pure_python_read_the_same(text: str) -> None:
    """A text has the same data and positions whichever parser PyYAML has, or is refused by both."""
    assert FAST_LOADER is not PURE_LOADER, "this test needs a PyYAML that was built with libyaml"
    assert outcome(text, FAST_LOADER) == outcome(text, PURE_LOADER)


def outcome(text: str, loader: Any) -> Any:
    try:
        document = yaml_document(text.encode("utf-8", "replace").decode(), Limits(), None, loader)
    except YamlError:
        return "refused"
    return json.dumps(document.data), dict(document.positions), dict(document.key_positions)


@UNHURRIED
@given(source=NOISE | st.text() | st.binary() | NOISE.map(lambda text: text.encode("utf-16")) | st.just("\ud800"))
def test_any_text_gives_a_document_or_a_yaml_error(source: str | bytes) -> None:
    """Random text or bytes raise nothing but YamlError, and what is read is plain JSON data with a position each."""
    try:
        document = load_yaml(source)
    except YamlError:
        return
    json.dumps(document.data, allow_nan=False)
    assert set(document.positions) == {pointer for pointer, _ in parts_of(document.data, "")}


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_ten_thousand_steps_are_read_in_seconds(form: str) -> None:
    """A large definition takes a time in proportion to its size."""
    steps = {
        f"s{i}": {"kind": "shell", "with": {"command": ["echo", f"{i}"]}, "needs": [f"s{i - 1}"]} for i in range(10_000)
    }
    text = json.dumps(steps, indent=1) if form == "json" else as_yaml(steps, False)
    started_at = time.perf_counter()
    document: Document = load_yaml(text)
    assert time.perf_counter() - started_at < 10.0
    assert document.data == steps
    assert document.positions["/s9999/kind"].line > 10_000
