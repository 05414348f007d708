"""What is masked, by name and by form; the laws beside this file prove it for random places."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from json import dumps
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from maestro_core_logging import MASK, TooManySecrets, UnusableSecret, forget_secret, get_logger, register_secret
from maestro_core_logging._redact import Redactor
from maestro_core_logging._secrets import MAX_SECRETS, KnownSecrets
from maestro_core_logging._text import in_json, neutral, one_line
from maestro_core_logging.testing import assert_no_secret, captured

log = get_logger("redaction")
redactor = Redactor()


@pytest.mark.parametrize(
    "name",
    [
        *("password", "PASSWORD", "db_password", "DbPassword", "PGPASSWORD", "passwd", "MYSQL_PWD", "passPhrase"),
        *("secret", "client-secret", "SECRET_KEY", "secrets", "token", "access_token", "refreshToken", "X-Auth-Token"),
        *("api_key", "apikey", "X-API-Key", "apiKeys", "authorization", "Proxy-Authorization", "auth", "basic_auth"),
        *("cookie", "Set-Cookie", "credentials", "private_key", "accessKey", "session_id", "sessionid", "jwt"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    """Case and separators do not matter, nor what stands before and after."""
    assert redactor.is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["name", "key", "keys", "author", "authority", "tokenizer", "tokenized", "pass", "passed", "path", "session"],
)
def test_other_names(name: str) -> None:
    """Words that only begin alike are left alone."""
    assert not redactor.is_secret_name(name)


def test_names_can_be_added() -> None:
    """A program's own words are judged like the built-in ones."""
    own = Redactor(["IBAN", "birth-date"])

    assert own.is_secret_name("customer_iban")
    assert own.is_secret_name("birthDate")
    assert not redactor.is_secret_name("customer_iban")
    with captured(redact_names=["iban"]) as logged:
        log.info("x", customer_IBAN="DE1")
    assert logged[0]["customer_IBAN"] == MASK


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("password", None, False),
        ("has_password", True, False),
        ("max_tokens", 4096, False),
        ("token_count", 3, False),
        ("token_ttl_s", 30.5, False),
        ("tokens", 12, False),
        ("token", 123456, True),
        ("password", 123456, True),
        ("password", "", True),
        ("tokens", ["a"], True),
        ("token_count", "text", True),
        ("secrets", {"a": 1}, True),
    ],
)
def test_what_stands_under_a_secret_name(name: str, value: object, hidden: bool) -> None:
    """Everything but None, booleans and counts of tokens."""
    assert redactor.hides(name, value) is hidden


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password=hunter2 user=bob", "password=[redacted] user=bob"),
        ("password: 'hun ter2', user: bob", "password: [redacted], user: bob"),
        ('{"api_key": "k\\"ey", "n": 1}', '{"api_key": [redacted], "n": 1}'),
        ('{\\"token\\": \\"abc def\\", \\"n\\": 1}', '{\\"token\\": [redacted], \\"n\\": 1}'),
        ("Config(token=b'ab c', n=1)", "Config(token=b[redacted], n=1)"),
        ("secrets=['a', 'b'], n=1", "secrets=[redacted]"),
        ("Authorization: Digest a=1, b=2", "Authorization: [redacted]"),
        ("Cookie: a=1; b=2\nHost: x", "Cookie: [redacted]\nHost: x"),
        ("-H 'Authorization: Bearer abc.def'", "-H 'Authorization: [redacted]"),
        ("used Bearer abcdef123, then", "used Bearer [redacted], then"),
        ("basic functionality", "basic functionality"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        ("postgres://u:p@ss/wo#rd@db:5432/x", "postgres://[redacted]@db:5432/x"),
        ("http://localhost:8080/a?b=c@d", "http://localhost:8080/a?b=c@d"),
        ("https://registry.example/@scope/name", "https://registry.example/@scope/name"),
        ("git+ssh://git@example.org/x", "git+ssh://[redacted]@example.org/x"),
        ("id eyJhbGciOiJub25lIn0.eyJhIjoxfQ. end", "id [redacted] end"),
        ("sk-learn-classic-pipeline-names", "sk-learn-classic-pipeline-names"),
        ("key AKIAABCDEFGHIJKLMNOP used", "key [redacted] used"),
        ("total_tokens=12, tokens: 5", "total_tokens=12, tokens: 5"),
        ("token: 123456", "token: [redacted]"),
        ("wrong password for bob", "wrong password for bob"),
        ("password=[redacted] user=bob", "password=[redacted] user=bob"),
    ],
)
def test_secrets_in_text(text: str, expected: str) -> None:
    """Assignments, headers, URLs, tokens and keys are masked with as little around them as can be."""
    assert redactor.text(text) == expected


def test_a_private_key_is_masked_to_its_end() -> None:
    """All of the block goes, also when its end is missing, and what follows stays."""
    block = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef\n-----END OPENSSH PRIVATE KEY-----"

    assert redactor.text(f"a {block} b") == "a [redacted] b"
    assert redactor.text(f"a {block[:50]}") == "a [redacted]"
    assert redactor.text(f"{block!r}") == "'[redacted]'"


@dataclass
class Login:
    user: str
    password: str
    hidden: str = field(default="not-in-repr", repr=False)


def test_structures_are_masked_by_name() -> None:
    """Tables, dataclasses, lists of them, and arguments of a message."""
    with captured() as logged:
        log.info("x", login=Login("bob", "hunter2"), rows=[{"Token": "t", "n": 1}], headers={"Set-Cookie": "a=b"})
        log.info("login %s %s", {"password": "hunter2", "n": 1}, Login("bob", "hunter2"))
        log.info("%(user)s:%(password)s", {"user": "bob", "password": "hunter2"})

    assert logged[0]["login"] == {"user": "bob", "password": MASK}
    assert logged[0]["rows"] == [{"Token": MASK, "n": 1}]
    assert logged[0]["headers"] == {"Set-Cookie": MASK}
    assert logged[1]["event"] == "login {'password': [redacted], 'n': 1} Login(user='bob', password=[redacted])"
    assert logged[2]["event"] == "bob:[redacted]"


@pytest.fixture(params=["pä\"ss\\'wörd\x1b\nzq", "it's \x1b wörd\nzq"])
def secret(request: pytest.FixtureRequest) -> Iterator[str]:
    value: str = request.param
    register_secret(value)
    yield value
    forget_secret(value)


def test_a_registered_value_is_masked_in_every_form(secret: str) -> None:
    """Plain, in a repr, in JSON, in a URL, as bytes, and line by line."""
    forms = [
        secret,
        repr(secret),
        repr(secret + "'"),
        dumps(secret),
        dumps(secret, ensure_ascii=False),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret.encode()),
    ]
    with captured() as logged:
        for form in forms:
            log.info("form", text=f"<{form}>", **{f"<{form}>": 1})

    for record in logged:
        assert_no_secret([record], "wör")
        assert_no_secret([record], "w%C3%B6r")
        assert_no_secret([record], "zq")
        assert MASK in record["text"]


@pytest.mark.parametrize("write", [in_json, one_line])
def test_a_line_is_searched_for_a_value_as_it_is_written_there(write: Callable[[str], str]) -> None:
    """The last search knows how control characters and quotes look in a line."""
    secrets, value = KnownSecrets(), 'a"b\x1bc\td\u202eé'
    secrets.add(value)

    assert secrets.found_in(f"<{write(neutral(value))}>")
    assert not secrets.found_in("something else")


def test_one_line_of_a_secret_is_a_secret_too() -> None:
    """A key of several lines is masked also where its lines are torn apart."""
    register_secret("first-line-of-it\nshort\nsecond-line-of-it")
    try:
        with captured() as logged:
            log.info("x", a="see second-line-of-it", b="short")
    finally:
        forget_secret("first-line-of-it\nshort\nsecond-line-of-it")

    assert (logged[0]["a"], logged[0]["b"]) == (f"see {MASK}", "short")


def test_a_value_can_be_forgotten() -> None:
    """After a rotation the old value may be shown again; forgetting what is not known does nothing."""
    register_secret("rotated-away")
    register_secret("rotated-away")
    forget_secret("rotated-away")
    forget_secret("never-known-value")

    with captured() as logged:
        log.info("x", a="rotated-away")

    assert logged[0]["a"] == "rotated-away"


@pytest.mark.parametrize("value", ["", "short", "7 chars", "x" * 4097])
def test_a_value_that_cannot_be_masked_is_refused(value: str) -> None:
    """Too short to be told from ordinary text, or too long; the error does not repeat it."""
    with pytest.raises(UnusableSecret, match=f"a value of {len(value)} characters") as error:
        register_secret(value)

    assert not value or value not in str(error.value)


def test_the_list_of_values_is_bounded() -> None:
    """A program that registers without end is told, and what is registered stays masked."""
    secrets = KnownSecrets()
    for number in range(MAX_SECRETS):
        secrets.add(f"value-{number:08}")

    with pytest.raises(TooManySecrets):
        secrets.add("one-too-many")
    secrets.add("value-00000000")
    assert secrets.mask("a value-00000999 b") == f"a {MASK} b"
    assert repr(secrets) == "KnownSecrets(1000 values)"


def test_values_may_be_registered_from_several_threads() -> None:
    """No registration is lost, and readers are never disturbed."""
    secrets = KnownSecrets()
    failures: list[str] = []

    def register(start: int) -> None:
        for number in range(start, start + 25):
            secrets.add(f"value-{number:08}")
            if secrets.mask(f"value-{number:08}") != MASK:
                failures.append(str(number))

    threads = [threading.Thread(target=register, args=(start,)) for start in range(0, 200, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert repr(secrets) == "KnownSecrets(200 values)"


def test_a_value_that_only_the_whole_line_shows_withholds_the_line(setup_to: Callable[..., Any]) -> None:
    """What arises from the joints of a line is caught at the end: a notice is written in its place, and counted."""
    setup, stream = setup_to()
    register_secret('":"b","c":"')
    register_secret("logging.record_w")
    try:
        log.info("x", a="b", c="d")
        assert setup.flush(10)
        assert (stream.getvalue(), setup.dropped) == ("", {"secret": 1})
        forget_secret("logging.record_w")
        log.info("x", a="b", c="d")
        assert setup.flush(10)
    finally:
        forget_secret('":"b","c":"')
        forget_secret("logging.record_w")

    assert '"event":"logging.record_withheld"' in stream.getvalue()
    assert setup.dropped == {"secret": 2}
