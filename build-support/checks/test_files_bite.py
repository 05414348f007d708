"""The laws about files and what stands in them bite: each wrong tree breaks one thing, and one offence names it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_addresses import HOSTS
from law_addresses import offences as addresses
from law_documents import offences as documents
from law_errors import drawn_parents
from law_errors import offences as errors
from law_files import offences as files
from law_habits import offences as habits
from law_requirements import offences as requirements
from sound_tree import RESILIENCE, SOUND, TOOLS, broken

LIST, LOCK, GRANTS = (f"3rdparty/python/{name}" for name in ("default.txt", "default.lock", "BUILD"))
ERRORS = f"{TOOLS}/_errors.py"
TEST = "tests/journeys/test_x.py"


@pytest.mark.parametrize("law", [addresses, documents, errors, files, habits, requirements])
def test_a_sound_tree_has_no_offence(law: Callable[[Path], list[str]], tmp_path: Path) -> None:
    assert broken(tmp_path, law, {}) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (f"{TOOLS}/_long.py", "x = 1\n" * 401, "_long.py:401: 401 lines, and 400 are the limit"),
        ("build-support/long.py", "\n" * 11 + "# long file: too late\n" + "x = 1\n" * 400, "first lines"),
        ("src/typescript/a/long.tsx", "# long file: of another language\n" + "\n" * 250, "251 lines"),
        ("src/typescript/a/long.tsx", "// long file:\n" + "\n" * 250, "251 lines"),
        ("src/typescript/utils/index.ts", "", "'utils' is no noun"),
        (f"{TOOLS}/_helpers.py", "", "'_helpers' is no noun"),
    ],
    ids=["python", "reason too late", "reason of Python", "no reason", "folder", "module"],
)
def test_a_long_file_or_an_empty_name_is_found(name: str, text: str, expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, files, {name: text})
    assert expected in offence


@pytest.mark.parametrize("host", HOSTS)
def test_a_registry_host_is_found_wherever_it_stands(host: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, addresses, {"docs/guides/x.md": f"\nhttps://files.{host.upper()}/simple\n"})
    assert "docs/guides/x.md:2: names the registry" in offence


@pytest.mark.parametrize(
    "place", ["/work" + "/main/x", "'/root" + "/.cache'", "cd /tmp" + "/m", "A:/work" + "/x", "=/root" + "/x"]
)
def test_a_place_of_one_machine_is_found(place: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, addresses, {".ci/run": f"x {place}\n"})
    assert ".ci/run:1: names /" in offence


@pytest.mark.parametrize(
    "text", ["{index}/root" + "/pypi", "http://127.0.0.1:1/root" + "/x", "/tmp" + "/maestro", "a/work" + "/b"]
)
def test_what_only_looks_like_such_a_place_is_let_be(text: str, tmp_path: Path) -> None:
    assert broken(tmp_path, addresses, {".ci/run": text + "\n" + SOUND[".ci/run"]}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({LIST: SOUND[LIST].replace("pytest>=9", "pytest==9.2")}, f"{LIST}:3: `pytest==9.2` is pinned"),
        ({LIST: SOUND[LIST].replace("pytest>=9", "pytest")}, f"{LIST}:3: `pytest` has no lower bound"),
        ({LIST: SOUND[LIST].replace("pytest>=9", "pytest @ " + "https://example.org/x.whl")}, "is pinned"),
        ({LIST: SOUND[LIST] + "--index-url " + "https://example.org\n"}, f"{LIST}:4: `--index-url"),
        ({LIST: SOUND[LIST] + "mcp[cli]>=2.9\n"}, f"{LOCK}:1: mcp 2.4.0 is outside `>=2.9`"),
        ({LIST: SOUND[LIST].replace("pytest>=9", "pytest>=9,<9.2")}, f"{LOCK}:4: pytest 9.2 is outside `<9.2,>=9`"),
        ({LOCK: SOUND[LOCK].replace("pytest", "pytest-more")}, f"{LIST}:3: pytest is not in {LOCK}"),
        ({LOCK: SOUND[LOCK] + "more==1\n"}, f"{LOCK}:6: more has no hash"),
        ({LOCK: "--index-url " + "https://example.org\n" + SOUND[LOCK]}, f"{LOCK}:1: `--index-url"),
        ({LOCK: SOUND[LOCK] + "more @ " + "https://example.org/x.whl\n"}, f"{LOCK}:6: `more @"),
        ({LOCK: None}, f"{LOCK}: missing"),
        ({"3rdparty/python/mypy.lock": ""}, "mypy.txt: missing"),
        ({"pants.toml": '[python.resolves]\nx = "3rdparty/python/x.lock"\n'}, "x.txt: missing"),
        ({GRANTS: 'who_may_use("default", {"mcp": []})\n'}, f"{LIST}:3: pytest is not in the grants of {GRANTS}:1"),
        ({GRANTS: '\nwho_may_use("default", {"mcp": [], "pytest": [], "uv": []})\n'}, f"{GRANTS}:2: grants uv"),
        ({GRANTS: 'who_may_use("default", {"mcp": ["maestro_gone"], "pytest": []})\n'}, "to maestro_gone"),
        ({GRANTS: 'python_requirements(name="default")\n'}, "never calls who_may_use()"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_requirement_is_found(changes: dict[str, str | None], expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, requirements, changes)
    assert expected in offence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('class A(Exception):\n    code = "tools.a"\n', f"{ERRORS}:1: A is missing in the tree"),
        (
            '"""\nA\nB\n"""\nclass A(Exception):\n    code = "tools.a"\nclass B(A):\n    code = "tools.b"\n',
            ":7: B is drawn below None",
        ),
        ('"""\nA\n"""\nclass A(ValueError):\n    retryable = False\n', f"{ERRORS}:4: A has no `code`"),
        (
            '"""\nA\n- B\n"""\nclass A(Exception):\n    code = "t"\nclass B(A):\n    code = "b"\n',
            ":7: the code 'b' of B is not in",
        ),
        ('"""\nA\n"""\nclass A(Exception):\n    code = "tools.A_b"\n', "is not in the form"),
        (
            '"""\nA\n"""\nclass A(Exception):\n    code = "resilience.call-refused"\n',
            f"of {RESILIENCE}/_errors.py:14; give it its own",
        ),
    ],
    ids=["not drawn", "drawn elsewhere", "no code", "no room", "ill-formed", "taken"],
)
def test_a_wrong_tree_of_errors_is_found(text: str, expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, errors, {ERRORS: text})
    assert expected in offence


@given(st.lists(st.integers(min_value=0), min_size=1, max_size=30))
def test_every_drawn_tree_is_read_as_it_was_meant(choices: list[int]) -> None:
    """Whatever the shape of the tree: each error hangs from the one below which it is drawn."""
    parents: dict[str, str | None] = {"E0": None}
    for number, choice in enumerate(choices, 1):
        parents[f"E{number}"] = f"E{choice % number}"
    drawing = (
        "What can go wrong.\n\n" + "\n".join(_draw(parents, "E0", "    ", "    ")) + "\n\nE1 and E2 again, in prose."
    )
    assert drawn_parents(drawing, set(parents)) == parents


def _draw(parents: dict[str, str | None], name: str, first: str, rest: str) -> list[str]:
    lines = [f"{first}{name}    room.code-of-{name}"]
    children = [child for child, parent in parents.items() if parent == name]
    for child in children:
        last = child == children[-1]
        lines += _draw(parents, child, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))
    return lines


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (TEST, "import time as t\nt.sleep(x)\n", f"{TEST}:2: time.sleep"),
        (
            TEST,
            "from asyncio import sleep\nasync def f() -> None:\n    await sleep(0.01)\n",
            f"{TEST}:3: asyncio.sleep",
        ),
        (TEST, "import anyio\nanyio.sleep(delay=1)\n", "anyio.sleep"),
        (TEST, "import asyncio\nasyncio.sleep(60 * 60)\n", "asyncio.sleep"),
        (TEST, "import pytest\npytest.importorskip('redis')\n", "pytest.importorskip without a reason"),
        ("build-support/checks/test_x.py", "from time import sleep\nsleep(1)\n", "test_x.py:2: time.sleep"),
        (TEST, "import pytest\n@pytest.mark.skip\ndef test_x(): ...\n", f"{TEST}:2: pytest.mark.skip without a reason"),
        (TEST, "import pytest\npytestmark = [pytest.mark.xfail(strict=True)]\n", "xfail without a reason"),
        (TEST, "from pytest import mark as m\n@m.skipif('x')\ndef test_x(): ...\n", "skipif without a reason"),
        (TEST, "import pytest\npytest.skip(' ')\n", "pytest.skip without a reason"),
        (f"{TOOLS}/_x.py", "try:\n    f()\nexcept:\n    raise\n", f"{TOOLS}/_x.py:3: a bare"),
        (f"{TOOLS}/_x.py", "try:\n    f()\nexcept (OSError, Exception):\n    'why'\n    pass\n", "_x.py:3: swallows"),
        (
            f"{TOOLS}/_x.py",
            "while f():\n    try:\n        f()\n    except BaseException as e:\n        continue\n",
            ":4: swallows",
        ),
        (
            f"{TOOLS}/_x.py",
            "import contextlib\nwith contextlib.suppress(Exception):\n    f()\n",
            ":2: suppresses every",
        ),
    ],
)
def test_a_bad_habit_is_found(name: str, text: str, expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, habits, {name: text})
    assert expected in offence


def test_a_reason_of_any_form_and_a_named_error_are_let_be(tmp_path: Path) -> None:
    test = (
        "import pytest\nif x:\n    pytest.skip(f'no {x}')\n"
        "@pytest.mark.skip('why')\n@pytest.mark.xfail(x, reason='why')\ndef f(): ...\n"
    )
    code = "try:\n    f()\nexcept Exception as e:\n    log(e)\n"
    assert broken(tmp_path, habits, {TEST: test, f"{TOOLS}/_x.py": code}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"docs/x.md": "\n[a](../y.md)\n"}, "docs/x.md:2: the link ../y.md leads nowhere"),
        ({"docs/x.md": "[a]: <gone.md>\n"}, "docs/x.md:1: the link gone.md"),
        ({"docs/x.md": "![a](/pants.toml) [b](/gone.png 'title')\n"}, "the link /gone.png"),
        ({"docs/x.md": "[a](../CONTRIBUTING.md#changes)\n"}, "names a heading that is not there"),
        ({f"{TOOLS}/README.md": "[a](#promise)\n## Promises\n"}, "#promise names a heading"),
        ({"README.md": "# M\n\n    ./pants test ::\n"}, "README.md: opens with 1 ./pants commands"),
        ({".ci/run": "./pants test ::\n# ./pants maestro run x.yml\n"}, "does not call `./pants maestro run x.yml`"),
        ({".ci/run": "./pants test ::x\n./pants maestro run x.yml\n"}, "does not call `./pants test ::`"),
        ({"docs/decisions/0004-late.md": ""}, "is number 0004 where 0003 comes next"),
        ({"docs/decisions/0002-again.md": ""}, "0002-second.md: is number 0002 where 0003"),
        ({"docs/decisions/3-short.md": ""}, "3-short.md: a decision record is called"),
        ({"docs/decisions/0003-long.md": "x\n" * 60}, "has 60 lines"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_document_is_found(changes: dict[str, str], expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, documents, changes)
    assert expected in offence
