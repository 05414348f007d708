"""A `tools:` section is read whole, and everything wrong with it is said at once."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_tools import InvalidSource
from maestro_tools._source_reader import parse_source, parse_sources
from maestro_tools._sources import McpCommand, McpUrl, Utcp

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
keys = st.sampled_from(
    ["mcp", "utcp", "command", "url", "env", "headers", "manual", "variables", "pass_env", "cwd", "call_timeout_s"]
)
near_sources = st.dictionaries(keys, st.dictionaries(keys, json_values) | json_values)


def problems(value: object, *, static: bool = False) -> list[str]:
    with pytest.raises(InvalidSource) as caught:
        parse_sources(value, static=static)
    assert not caught.value.retryable
    return [str(problem) for problem in caught.value.problems]


def test_every_form_is_read() -> None:
    """A command, an address and a manual, with their limits and defaults."""
    sources = parse_sources(
        {
            "git": {"mcp": {"command": ["uvx", "mcp-server-git"], "env": {"A": "1"}, "pass_env": ["B"], "cwd": "x"}},
            "web": {"mcp": {"url": "https://example.com/mcp", "headers": {"X": "y"}, "call_timeout_s": 5}},
            "repo": {"utcp": {"manual": "tools/repo.json", "variables": {"K": "v"}, "max_result_bytes": 2048}},
        }
    )
    git, web, repo = sources.values()
    assert isinstance(git, McpCommand)
    assert (git.command, git.env, git.pass_env, git.cwd) == (("uvx", "mcp-server-git"), {"A": "1"}, ("B",), "x")
    assert (git.limits.startup_timeout_s, git.limits.call_timeout_s) == (60.0, 60.0)
    assert isinstance(web, McpUrl)
    assert (web.url, web.limits.call_timeout_s) == ("https://example.com/mcp", 5.0)
    assert isinstance(repo, Utcp)
    assert (repo.manual, repo.limits.max_result_bytes) == ("tools/repo.json", 2048)


def test_all_problems_come_at_once_in_document_order() -> None:
    """Each with the place where it is, and what to do."""
    found = problems(
        {
            "a b": {"mcp": {"url": "ftp://x"}},
            "git": {
                "mcp": {
                    "command": "uvx mcp-server-git",
                    "env": {"PORT": 8080, "1A": "x"},
                    "pass_env": ["OK", "not ok"],
                    "comand": [],
                    "call_timeout_s": -1,
                    "max_result_bytes": True,
                }
            },
            "none": {},
            "both": {"mcp": {"command": ["x"]}, "utcp": {"manual": "x"}},
            "text": "mcp",
            "repo": {"utcp": {"variables": ["K"]}},
        }
    )
    assert found == [
        "/a b: a source's name has 1 to 64 letters, digits, _ or -, and begins with no digit",
        "/a b/mcp/url: must be an http:// or https:// address",
        "/git/mcp/call_timeout_s: must be a number of seconds above 0 and at most 86400",
        "/git/mcp/max_result_bytes: must be an integer of at least 1024",
        "/git/mcp/pass_env/1: must be the name of an environment variable",
        "/git/mcp/comand: is not known here; did you mean 'command'?",
        "/git/mcp/command: must be a list, as [uvx, mcp-server-git]: the program, then its arguments (no shell)",
        "/git/mcp/env/PORT: must be a string, not a number: quote it",
        "/git/mcp/env/1A: a variable's name has letters, digits and _, and begins with no digit",
        "/none: must hold exactly one of: mcp, openapi, utcp",
        "/both: must hold exactly one of: mcp, openapi, utcp",
        "/text: must be a mapping, not a string",
        "/repo/utcp: must have a manual: the path of a JSON file, or the manual itself",
        "/repo/utcp/variables: must be a mapping, not a list",
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mcp": {"command": []}}, "/x/mcp/command: must be a list, as"),
        ({"mcp": {"command": [""]}}, "/x/mcp/command/0: must be a string, not an empty string"),
        ({"mcp": {"command": ["a\0b"]}}, "/x/mcp/command/0: must not hold a NUL character"),
        ({"mcp": {"command": ["a", 7]}}, "/x/mcp/command/1: must be a string, not a number: quote it"),
        ({"mcp": {}}, "/x/mcp: must say how to reach the server: command, or url"),
        ({"mcp": {"url": "https://user:secret@host/mcp"}}, "/x/mcp/url: must not hold a password"),
        ({"mcp": {"url": "http://[::1"}}, "/x/mcp/url: must be an http:// or https:// address"),
        ({"mcp": {"url": "https://host:port/"}}, "/x/mcp/url: must be an http:// or https:// address"),
        ({"mcp": {"url": "https://host", "headers": {"a b": "x"}}}, "/x/mcp/headers/a b: is no name of a header"),
        (
            {"mcp": {"url": "https://host", "headers": {"A": "x\r\nB: y"}}},
            "/x/mcp/headers/A: must be one line of ASCII",
        ),
        ({"mcp": {"url": "https://host", "headers": {"A": "ü"}}}, "/x/mcp/headers/A: must be one line of ASCII"),
        ({"mcp": {"url": "https://host", "command": ["x"]}}, "/x/mcp/url: is not known here"),
        ({"mcp": {"command": ["x"], "call_timeout_s": float("nan")}}, "/x/mcp/call_timeout_s: must be a number"),
        ({"mcp": {"command": ["x"], "env": {"A": "a\0b"}}}, "/x/mcp/env/A: must not hold a NUL character"),
        (
            {"utcp": {"manual": 7}},
            "/x/utcp/manual: must be the path of a JSON file, or the manual itself, not a number",
        ),
        ({"utcp": {"manual": "x", "startup_timeout_s": 1}}, "/x/utcp/startup_timeout_s: is not known here"),
    ],
)
def test_hostile_source_is_refused(config: dict[str, Any], message: str) -> None:
    """Nothing of it gets as far as a process."""
    assert any(problem.startswith(message) for problem in problems({"x": config})), problems({"x": config})


def test_password_in_an_address_is_not_repeated() -> None:
    """The error says where, not what."""
    assert "secret" not in str(problems({"x": {"mcp": {"url": "https://user:secret@host/mcp"}}}))


def test_expressions_pass_the_static_check() -> None:
    """What is not known before the workflow runs is not held against it; the rest is."""
    later = "${{ inputs.x }}"
    sources = {
        "a": {"mcp": {"command": ["git", later], "call_timeout_s": later, "env": later, "pass_env": [later]}},
        "b": {"mcp": {"url": later, "max_result_bytes": later}},
        "c": {"utcp": {"manual": later}},
        "d": later,
        "e": {"mcp": later},
    }
    assert set(parse_sources(sources, static=True)) == {"a", "b", "c"}
    assert problems({"a": {"mcp": {"command": [later], "nev": later}}}, static=True) == [
        "/a/mcp/nev: is not known here; did you mean 'env'?"
    ]


def test_secrets_are_not_in_the_representation() -> None:
    """A source may be logged."""
    shown = repr(
        [
            parse_source("x", {"mcp": {"command": ["x"], "env": {"K": "hunter2"}}}),
            parse_source("x", {"mcp": {"url": "https://h/?key=hunter2", "headers": {"K": "hunter2"}}}),
            parse_source("x", {"utcp": {"manual": "x", "variables": {"K": "hunter2"}}}),
        ]
    )
    assert "hunter2" not in shown


@given(st.dictionaries(st.text(max_size=5), near_sources | json_values) | json_values, st.booleans())
def test_no_data_breaks_the_reader(value: object, static: bool) -> None:
    """Whatever is given, it is read or refused; nothing else is raised."""
    with suppress(InvalidSource):
        assert isinstance(parse_sources(value, static=static), dict)
