"""What is refused, with the file, the line, the column and what to do."""

import time
from pathlib import Path

import pytest

from maestro_yaml_config_parser import (
    BadSyntax,
    BadValue,
    DuplicateKey,
    Limits,
    NotSupported,
    TooLarge,
    Unreadable,
    YamlError,
    load_yaml,
    load_yaml_file,
)

CASES: list[tuple[str | bytes, type[YamlError], str, str]] = [
    ("a: 1\nb: 2\na: 3", DuplicateKey, "3:1", "the key 'a' is written twice, first in line 1, column 1"),
    ("x: {a: 1, 'a': 2}", DuplicateKey, "1:11", "first in line 1, column 5"),
    ('{"a": 1,\n "a": 2}', DuplicateKey, "2:2", "first in line 1, column 2"),
    ("1: a", BadValue, "1:1", "a key is a string, and 1 is not: write it in quotes"),
    ("a:\n  true: b", BadValue, "2:3", "and true is not: write it in quotes"),
    ("~: a", BadValue, "1:1", "and null is not: write it in quotes"),
    ("? \n: a", BadValue, "1:2", "write it in quotes"),
    ("1.5: a", BadValue, "1:1", "write it in quotes"),
    ("? [a]\n: b", BadValue, "1:3", "a key is a string, not a mapping or list"),
    ("{{a: 1}: 2}", BadValue, "1:2", "a key is a string, not a mapping or list"),
    ("a: .inf", BadValue, "1:4", "not a finite number, which JSON cannot hold"),
    ("- -.INF", BadValue, "1:3", "not a finite number"),
    ("a: .nan", BadValue, "1:4", "not a finite number"),
    ("a: 1e999", BadValue, "1:4", "the number is too large"),
    ("a: 18446744073709551616", BadValue, "1:4", "does not fit into 64 bits"),
    ("a: " + "9" * 5000, BadValue, "1:4", "does not fit into 64 bits"),
    ("a: !x 1", NotSupported, "1:4", "the tag !x is not supported: remove it"),
    ("a: !!python/object/apply:os.system ['id']", NotSupported, "1:4", "the tag !!python/object/apply:os.system"),
    ("!!str 1", NotSupported, "1:1", "the tag !!str is not supported"),
    ("- !!set {a, b}", NotSupported, "1:3", "the tag !!set is not supported"),
    ("! a", NotSupported, "1:1", "the tag ! is not supported"),
    ("a: &x {b: 1}\nc:\n  <<: *x", NotSupported, "3:3", "merge keys are not supported: write the keys out"),
    ("&k a: 1", NotSupported, "1:1", "an anchor cannot stand at a key"),
    ("- &k a\n- *k : 1", NotSupported, "2:3", "an alias cannot be a key"),
    ("a: *b", NotSupported, "1:4", "no anchor &b stands before the alias *b"),
    ("&a [1, *a]", NotSupported, "1:8", "the alias *a stands inside of what it repeats"),
    ("a: &x {b: [*x]}", NotSupported, "1:12", "the alias *x stands inside of what it repeats"),
    ("a: 1\n---\nb: 2", NotSupported, "2:1", "there are several documents"),
    ("a\n...\n---\n", NotSupported, "3:1", "there are several documents"),
    ("%YAML 1.1\n---\na: 1", NotSupported, "1:1", "directives are not supported"),
    ("%TAG ! tag:x,2000:\n---\na: 1", NotSupported, "1:1", "directives are not supported"),
    ("%FOO\n---\na: 1", YamlError, "1:", "directives are not supported"),
    ("", BadSyntax, "1:1", "the document is empty"),
    ("  \n\n", BadSyntax, "1:1", "the document is empty"),
    ("# only a comment\n", BadSyntax, "1:1", "the document is empty"),
    ("---\n", BadSyntax, "1:1", "the document is empty"),
    ("a:\n\tb: 1", BadSyntax, "2:1", "a tab stands here: indent and separate with spaces"),
    ("a:\tb", BadSyntax, "1:3", "a tab stands here"),
    ("a: b\tc", BadSyntax, "1:", "a tab stands here"),
    ("a: b \t# c", BadSyntax, "1:6", "a tab stands here"),
    ("a: |\n\tx", BadSyntax, "2:1", "a tab stands here"),
    ("a: b\x07", BadSyntax, "1:5", "the character U+0007 cannot stand here"),
    ("a: b\n\x00", BadSyntax, "2:1", "the character U+0000 cannot stand here"),
    ("a: b\u2028c", BadSyntax, "1:5", "the character U+2028 cannot stand here"),
    ("a: b\x85c", BadSyntax, "1:5", "the character U+0085 cannot stand here"),
    ("a: b\ufeff", BadSyntax, "1:5", "the character U+FEFF cannot stand here"),
    ("\ufeffa: b", Unreadable, "1:1", "begins with a byte order mark: save it as UTF-8 without"),
    (b"\xef\xbb\xbfa: b", Unreadable, "1:1", "UTF-8 with a byte order mark: save it as UTF-8 without"),
    ("a: é".encode("utf-16"), Unreadable, "1:1", "saved as UTF-16"),
    ("a: é".encode("utf-32"), Unreadable, "1:1", "saved as UTF-32"),
    ("a: ü\r\nb: é".encode("latin-1"), Unreadable, "1:4", "the byte 0xFC belongs to no character"),
    (b"a: b\n  c: \xff", Unreadable, "2:6", "the byte 0xFF belongs to no character"),
    ("a: \ud800", Unreadable, "1:4", "half of a surrogate pair"),
    ('a: "\\ud83d"', YamlError, "1:", ""),
    ('a: "\\UFFFFFFFF"', BadSyntax, "", "names no character"),
    ("a: 'b", BadSyntax, "1:6", "a quote is not closed"),
    ('a: "\\q"', BadSyntax, "1:", "this escape is not known"),
    ("a: b: c", BadSyntax, "1:5", "no ':' belongs here"),
    ("a:\n  b\n c: d", BadSyntax, "3:", "not YAML"),
    ("a: [1, 2", BadSyntax, "2:1", "a ',' or the closing bracket is missing"),
    ("a: @b", BadSyntax, "1:4", "put a text that begins with this character into quotes"),
    ("[a\n  b]", BadSyntax, "1:2", "unquoted text ends with its line"),
    ("[a?b]", BadSyntax, "1:2", "put text that holds a '?' into quotes"),
    ("[a:]", BadSyntax, "1:", "put a space behind the ':'"),
    ("a: |x\n  b", BadSyntax, "1:", "not YAML"),
    ("a: |\n  \tb\n", BadSyntax, "", "a tab"),
]


@pytest.mark.parametrize(("text", "error", "place", "message"), CASES, ids=lambda value: repr(value)[:40])
def test_a_refusal_says_where_and_what_to_do(
    text: str | bytes, error: type[YamlError], place: str, message: str
) -> None:
    """Each error has its class, begins with file, line and column, and says what to do."""
    with pytest.raises(error) as caught:
        load_yaml(text, file="w.yml")
    assert str(caught.value).startswith(f"w.yml:{place}")
    assert message in caught.value.reason
    assert caught.value.file == "w.yml"
    assert caught.value.code.startswith("yaml.")
    assert not caught.value.retryable


def test_a_duplicate_key_knows_both_places() -> None:
    """Programs can read both positions."""
    with pytest.raises(DuplicateKey) as caught:
        load_yaml("a:\n  b: 1\n  c: 2\n  b: 3\n")
    error = caught.value
    assert (error.line, error.column, error.first_line, error.first_column) == (4, 3, 2, 3)


def test_keys_of_aliased_mappings_are_no_duplicates_of_others() -> None:
    """Only keys of one mapping collide."""
    assert load_yaml("a: &x {k: 1}\nb: *x\nk: 2").data == {"a": {"k": 1}, "b": {"k": 1}, "k": 2}


def laughs(levels: int, width: int = 10) -> str:
    """A text whose aliases write `width` to the power of `levels` values."""
    lines = ["l0: &l0 lol"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * width)}]" for i in range(1, levels + 1)]
    return "\n".join(lines)


def test_a_billion_laughs_are_refused_at_once() -> None:
    """Nested aliases end at a bound, long before memory does."""
    started_at = time.perf_counter()
    with pytest.raises(TooLarge, match="its aliases write more than 10,000 values") as caught:
        load_yaml(laughs(30))
    assert caught.value.line is not None
    assert time.perf_counter() - started_at < 2.0
    assert len(load_yaml(laughs(3)).data["l3"]) == 10


def test_flat_aliases_are_bounded_too() -> None:
    """One large value repeated very often is a bomb as well."""
    text = "a: &a [" + "x, " * 5000 + "]\nb: [" + "*a, " * 5000 + "]"
    with pytest.raises(TooLarge, match="its aliases write more than"):
        load_yaml(text)
    with pytest.raises(TooLarge, match="more than 20,000 values"):
        load_yaml(text, limits=Limits(max_nodes=20_000, max_alias_nodes=10**9))


def test_aliases_cannot_go_deeper_than_text_can() -> None:
    """Depth is counted through aliases."""
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100)]
    with pytest.raises(TooLarge, match="more than 64 mappings and lists inside each other"):
        load_yaml("\n".join(lines))


@pytest.mark.parametrize(
    "text", ["[" * 65 + "]" * 65, "- " * 65 + "x", "{a: " * 65 + "1" + "}" * 65, '{"a":' * 65 + "1" + "}" * 65]
)
def test_depth_is_bounded(text: str) -> None:
    """64 levels are read and 65 are not, in every style."""
    with pytest.raises(TooLarge, match="more than 64 mappings and lists inside each other"):
        load_yaml(text)
    load_yaml("[" * 64 + "]" * 64)
    assert load_yaml("- " * 3 + "x", limits=Limits(max_depth=3)).data == [[["x"]]]


@pytest.mark.parametrize("begin", ["[", "- ", "{a: ", '{"a":', "? ", "'x", "&a "])
def test_endless_nesting_is_refused_at_once(begin: str) -> None:
    """A megabyte of openings is no deeper than the limit, and costs no more."""
    started_at = time.perf_counter()
    with pytest.raises(YamlError):
        load_yaml(begin * (1_000_000 // len(begin)))
    assert time.perf_counter() - started_at < 5.0


def test_size_is_bounded(tmp_path: Path) -> None:
    """Bytes are counted, not characters; a file is not read beyond the limit."""
    limits = Limits(max_bytes=10)
    assert load_yaml("é" * 5, limits=limits).data == "é" * 5
    for text in ("é" * 6, "x" * 11, ("é" * 6).encode()):
        with pytest.raises(TooLarge, match="more than 10 bytes"):
            load_yaml(text, limits=limits)
    path = tmp_path / "large.yml"
    path.write_text("x" * 11)
    with pytest.raises(TooLarge, match=r"large\.yml: the document is too large: it has more than 10 bytes"):
        load_yaml_file(path, limits=limits)
    with pytest.raises(TooLarge):
        load_yaml_file("/dev/zero")


def test_the_number_of_values_is_bounded() -> None:
    """Mappings, lists and values are counted together."""
    assert load_yaml("[1, {a: 2}]", limits=Limits(max_nodes=4)).data == [1, {"a": 2}]
    for text in ("[1, {a: 2}]", '[1, {"a": 2}]'):
        with pytest.raises(TooLarge, match="it holds more than 3 values"):
            load_yaml(text, limits=Limits(max_nodes=3))


@pytest.mark.parametrize("name", ["missing.yml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an impossible name are YamlErrors like the rest."""
    with pytest.raises(Unreadable, match="the file cannot be read") as caught:
        load_yaml_file(str(tmp_path / name))
    assert caught.value.file == str(tmp_path / name)


def test_errors_do_not_quote_long_keys_in_full() -> None:
    """A message stays short whatever the text holds."""
    for text in (f"{{{'k' * 900}: 1, {'k' * 900}: 2}}", f"a: *{'k' * 900}", f"a: !{'k' * 900} b"):
        with pytest.raises(YamlError) as caught:
            load_yaml(text)
        assert len(str(caught.value)) < 300
