"""Proof by random trees: a secret that is planted anywhere is in no rendered line, whole or readable in parts."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_core_logging import Limits, forget_secret, get_logger, register_secret

log = get_logger("laws")

FORMATS = st.sampled_from(["json", "console"])
LIMITS = st.builds(
    Limits,
    text_chars=st.integers(1, 60) | st.just(8192),
    items=st.integers(1, 4) | st.just(100),
    depth=st.integers(1, 3) | st.just(8),
    nodes=st.integers(1, 20) | st.just(2000),
    line_bytes=st.sampled_from([1024, 65536]),
)
ANY_SECRET = st.text(min_size=8, max_size=40).map(lambda text: f"§{text}")
WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=20, max_size=60)
TOKEN = WORD.map(lambda word: f"{word}7Z")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)


@dataclasses.dataclass
class Holder:
    content: Any


class Opaque:
    """Shows what it holds in its repr alone."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __repr__(self) -> str:
        return f"Opaque({self.content!r})"


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value inside lists, tables, objects, beside others and at any depth."""
    other = SCALARS
    return (
        st.tuples(other, inner, other).map(list)
        | st.tuples(inner, other)
        | st.tuples(st.text(max_size=10), inner, other).map(lambda parts: {parts[0]: parts[1], "other": parts[2]})
        | inner.map(Holder)
        | inner.map(Opaque)
        | inner.map(lambda value: {"deeper": {"and": [value]}})
    )


def planted(core: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(core, around, max_leaves=4)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    else:
        yield str(value)


def assert_hidden(kind: str, output: str, secret: str) -> None:
    """The secret is neither in the line as it is nor in what a reader of the line sees."""
    assert secret not in output
    assert repr(secret.encode("utf-8", "replace"))[2:-1] not in output
    assert json.dumps(secret)[1:-1] not in output
    if kind == "json":
        for line in output.splitlines():
            assert not any(secret in text for text in texts(json.loads(line)))


# --- values that are registered -----------------------------------------------------------------------------------


class CustomError(Exception):
    pass


def log_in_every_way(secret: str, value: Any) -> None:
    """The value, and the secret within text, in every part that a record has."""
    inside = f"before {secret} after"
    log.info("laws.planted", field=value, text=inside)
    log.info(inside, **{inside: 1})
    log.bind(bound=value).warning("laws.bound", number=[inside, {inside: inside}])
    logging.getLogger(f"laws.{secret}").error("args %s %r", value, inside)
    logging.getLogger("laws.std").error("%(a)s", {"a": value})
    logging.getLogger("laws.std").error(value, extra={"extra": value})
    logging.getLogger("laws.std").error("%d", value)
    try:
        try:
            raise CustomError(inside, value)
        except CustomError as error:
            error.add_note(inside)
            raise ExceptionGroup(inside, [error, ValueError(secret)]) from error
    except ExceptionGroup:
        log.exception("laws.failed", stack_info=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FORMATS, LIMITS, st.data())
def test_a_registered_value_is_in_no_line(
    rendered: Callable[..., str], kind: str, limits: Limits, data: st.DataObject
) -> None:
    """Any text, planted in fields, names, messages, arguments, logger names and tracebacks, with any limits."""
    secret = data.draw(ANY_SECRET)
    value = data.draw(planted(st.sampled_from([secret, f"x{secret}y", secret.encode("utf-8", "replace")])))
    register_secret(secret)
    try:
        output = rendered(format=kind, limits=limits, work=lambda: log_in_every_way(secret, value))
    finally:
        forget_secret(secret)

    assert_hidden(kind, output, secret)


@settings(deadline=None)
@given(FORMATS, st.integers(1, 4000), st.integers(0, 300), TOKEN, st.integers(1, 100))
def test_a_cut_never_leaves_half_of_a_registered_value(
    rendered: Callable[..., str], kind: str, limit: int, position: int, secret: str, repeats: int
) -> None:
    """Wherever the text is cut, no more than a few characters of a secret that lies across the cut can be seen."""
    register_secret(secret)
    text = "." * position + f"{secret}." * repeats + "." * 10_000
    try:
        output = rendered(format=kind, limits=Limits(text_chars=limit), work=lambda: log.info("laws.cut", text=text))
    finally:
        forget_secret(secret)

    assert secret[:6] not in output


@settings(deadline=None)
@given(FORMATS, st.integers(10**8, 10**30))
def test_a_registered_number_is_masked_as_a_number_too(rendered: Callable[..., str], kind: str, number: int) -> None:
    """A secret of digits is found in an integer."""
    register_secret(str(number))
    try:
        output = rendered(
            format=kind, limits=Limits(), work=lambda: log.info("laws.number", pin=number, more=[number * 1000])
        )
    finally:
        forget_secret(str(number))

    assert_hidden(kind, output, str(number))
    assert output.count("[redacted]") == 2


# --- values under a name that gives them away -----------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        ("password",),
        ("passwd",),
        ("pwd",),
        ("pass", "phrase"),
        ("secret",),
        ("client", "secret"),
        ("token",),
        ("access", "token"),
        ("api", "key"),
        ("x", "api", "key"),
        ("authorization",),
        ("proxy", "authorization"),
        ("cookie",),
        ("set", "cookie"),
        ("private", "key"),
        ("session", "id"),
        ("credentials",),
    ]
)


@st.composite
def secret_names(draw: st.DrawFn) -> str:
    """A name in any case, with any separators, with words before and after."""
    parts = [
        *draw(st.sampled_from([(), ("db",), ("my",)])),
        *draw(PARTS),
        *draw(st.sampled_from([(), ("value",), ("2",)])),
    ]
    cased = [draw(st.sampled_from([str.lower, str.upper, str.title]))(part) for part in parts]
    return draw(st.sampled_from(["", "_", "-", ".", " ", "__"])).join(cased)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FORMATS, LIMITS, secret_names(), st.data())
def test_what_stands_under_a_secret_name_is_in_no_line(
    rendered: Callable[..., str], kind: str, limits: Limits, name: str, data: st.DataObject
) -> None:
    """Any value under such a name, at any depth of any structure, in fields, extras and arguments."""
    secret = data.draw(ANY_SECRET)
    value = data.draw(planted(st.just(secret)))
    tree = data.draw(
        st.recursive(st.just({name: value}), lambda inner: inner.map(lambda v: [1, {"a": v}]), max_leaves=3)
    )

    def work() -> None:
        log.info("laws.named", tree=tree, **{name: value})
        logging.getLogger("laws.std").error("tree %s", tree, extra={f"x_{name}": value})
        logging.getLogger("laws.std").error("%(other)s", {"other": 1, name: value, "tree": tree})

    assert_hidden(kind, rendered(format=kind, limits=limits, work=work), secret)


@settings(deadline=None)
@given(FORMATS, secret_names().filter(lambda name: " " not in name), ANY_SECRET, st.integers(0, 3))
def test_a_name_and_its_value_in_text_are_found(
    rendered: Callable[..., str], kind: str, name: str, secret: str, way: int
) -> None:
    """A repr, JSON, a keyword argument, or name=value inside a message or an exception."""
    without_space = "".join(secret.split()) or "§secret§"
    text = [
        f"got {({name: secret, 'other': 1})!r} back",
        f"got {json.dumps({name: secret, 'other': 1})} back",
        f"got {json.dumps(json.dumps({name: secret}))} back",
        f"got {name}={without_space} back",
    ][way]

    def work() -> None:
        log.info("laws.text", text=text)
        logging.getLogger("laws.std").error("message: %s", text)
        try:
            raise CustomError(text)
        except CustomError:
            log.exception("laws.failed")

    assert_hidden(kind, rendered(format=kind, limits=Limits(), work=work), without_space if way == 3 else secret)


# --- values of a form that gives them away ----------------------------------------------------------------------------


def forms(secret: str) -> list[str]:
    return [
        f"Bearer {secret}",
        f"authorization: bearer {secret}",
        f"Authorization: Custom {secret} and {secret}",
        f"Cookie: a=1; session={secret}; b=2",
        f"Basic {secret}==",
        f"https://user:{secret}@host.example/path?x=1",
        f"postgresql+asyncpg://user:p@ss/{secret}@db:5432/x",
        f"redis://:{secret}@cache",
        f"https://{secret}@github.com/x",
        f"eyJhbGciOiJIUzI1NiJ9.{secret}.{secret}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{secret}\n{secret}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{secret}",
        f"sk-proj-{secret}",
        f"ghp_{secret}",
        f"github_pat_{secret}",
        f"xoxb-{secret}",
        f"https://api.example/?api_key={secret}&page=2",
        f"--password={secret}",
        f"export DB_PASSWORD='{secret}'",
    ]


@settings(deadline=None)
@given(FORMATS, TOKEN, st.data())
def test_what_has_the_form_of_a_secret_is_in_no_line(
    rendered: Callable[..., str], kind: str, secret: str, data: st.DataObject
) -> None:
    """Known forms are masked in fields, messages, arguments and tracebacks, whatever stands around them."""
    text = f"{data.draw(st.sampled_from(['', 'see ', '(', 'x: ']))}{data.draw(st.sampled_from(forms(secret)))} end"
    value = data.draw(planted(st.just(text)))

    def work() -> None:
        log.info("laws.form", field=value, text=text)
        log.info(text)
        logging.getLogger("laws.std").error("got %s", value)
        try:
            raise CustomError(text)
        except CustomError:
            log.exception("laws.failed")

    assert_hidden(kind, rendered(format=kind, limits=Limits(), work=work), secret)


@settings(deadline=None)
@given(FORMATS, st.integers(1, 200), st.integers(0, 300), TOKEN, st.data())
def test_a_cut_never_lays_a_form_bare(
    rendered: Callable[..., str], kind: str, limit: int, position: int, secret: str, data: st.DataObject
) -> None:
    """A form that lies across the place where a text is cut is seen whole before it is cut."""
    text = " " * position + data.draw(st.sampled_from(forms(secret))) + " " + "." * 10_000

    output = rendered(format=kind, limits=Limits(text_chars=limit), work=lambda: log.info("laws.cut", text=text))

    assert secret[:8] not in output


@pytest.mark.parametrize("kind", ["json", "console"])
def test_ordinary_records_are_left_alone(rendered: Callable[..., str], kind: str) -> None:
    """Masking is not shotgun: ordinary words, counts and addresses stay readable."""

    def work() -> None:
        log.info(
            "step finished: 3 of 4 at https://example.org/a/b?page=2#top by mail@example.org",
            max_tokens=4096,
            tokenizer="bpe",
            token_count=12,
            path="/srv/basic functionality",
            password=None,
            author="Ann",
            keys=["a", "b"],
        )
        log.info("used tokens=512, limit: 4096")

    output = rendered(format=kind, limits=Limits(), work=work)

    assert output.count("[redacted]") == 0
    for word in ("https://example.org/a/b?page=2#top", "mail@example.org", "4096", "bpe", "12", "Ann", "tokens=512"):
        assert word in output
