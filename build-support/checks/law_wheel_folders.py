"""Law: the folder of every wheel is complete, and so is the folder of its tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from repository import Wheel, at, build_calls, outside_fences, parsed, text_of, wheels

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?\n")
_MACRO_OF = {"libraries": "library", "services": "service"}


def offences(root: Path) -> list[str]:
    """What a wheel lacks: a file, a heading, an entry, a name that fits, or the test of its README."""
    return [
        offence
        for wheel in wheels(root)
        for check in (_build, _version, _readme, _package, _tests)
        for offence in check(root, wheel)
    ]


def _build(root: Path, wheel: Wheel) -> list[str]:
    place, found = at(root, wheel.build, wheel.line), []
    if not wheel.macro:
        return [f"{at(root, wheel.build)}: missing, or calls neither library() nor service(); write its one call"]
    if wheel.macro != _MACRO_OF[wheel.kind]:
        found.append(
            f"{place}: calls {wheel.macro}() below src/python/{wheel.kind}; move the folder or change the call"
        )
    if wheel.distribution.replace("-", "_") != wheel.import_name or "_" in wheel.distribution:
        wanted = wheel.import_name.replace("_", "-")
        found.append(f"{place}: the wheel is called {wheel.distribution}; its folder asks for {wanted}")
    if not wheel.description.strip().endswith("."):
        found.append(f"{place}: the description is not a sentence; say in one what the wheel is")
    return found


def _version(root: Path, wheel: Wheel) -> list[str]:
    """The VERSION is semantic, and the newest entry of the changelog is about it."""
    version, changelog = wheel.folder / "VERSION", wheel.folder / "CHANGELOG.md"
    found = []
    if not _SEMVER.fullmatch(text_of(version)):
        found.append(f"{at(root, version)}: missing, or not one line with a semantic version, as `0.1.0`")
    entries = [(number, line) for number, line in outside_fences(text_of(changelog)) if line.startswith("## ")]
    released = [(number, line) for number, line in entries if "unreleased" not in line.lower()]
    wanted = text_of(version).strip() or "0.1.0"
    if not released:
        found.append(
            f"{at(root, changelog)}: missing, or without an entry; write `## {wanted} - <date>` and what is new"
        )
    elif not re.match(rf"## \[?{re.escape(wanted)}\]? - \d{{4}}-\d\d-\d\d\s*$", released[0][1]):
        found.append(
            f"{at(root, changelog, released[0][0])}: the top entry is not `## {wanted} - <date>`, as VERSION is"
        )
    return found


def _readme(root: Path, wheel: Wheel) -> list[str]:
    readme = wheel.folder / "README.md"
    text = text_of(readme)
    headings = {line.lstrip("#").strip() for _, line in outside_fences(text) if re.match("#+ ", line)}
    found = [
        f"{at(root, readme)}: missing, or has no heading `{heading}`; write down what holds and what does not"
        for heading in ("Promises", "Limits")
        if heading not in headings
    ]
    if not re.search(r"^```python$", text, re.MULTILINE):
        found.append(f"{at(root, readme)}: has no ```python block; show a dozen lines that run")
    for extra in dict.fromkeys(re.findall(r"^```python +(.+)$", text, re.MULTILINE)):
        if extra not in wheel.extras:
            found.append(
                f"{at(root, readme)}: a ```python block is for the extra {extra}, which the BUILD does not declare"
            )
        elif f'extra="{extra}"' not in text_of(root / "tests" / wheel.kind / wheel.import_name / "test_readme.py"):
            found.append(
                f'{at(root, readme)}: no test runs its blocks for the extra {extra}; run_readme(…, extra="{extra}")'
            )
    return found


def _package(root: Path, wheel: Wheel) -> list[str]:
    found = []
    typed, door = wheel.folder / "py.typed", wheel.folder / "__init__.py"
    if not typed.is_file():
        found.append(f"{at(root, typed)}: missing; an empty file tells type checkers that the wheel is typed")
    if not door.is_file() or not ast.get_docstring(parsed(door)):
        found.append(f"{at(root, door)}: missing, or has no docstring; say in one sentence what the package is")
    return found


def _tests(root: Path, wheel: Wheel) -> list[str]:
    folder = root / "tests" / wheel.kind / wheel.import_name
    build, readme = folder / "BUILD", folder / "test_readme.py"
    found = []
    calls = [call for call in build_calls(build) if call.function == "tests_of"] if build.is_file() else []
    wanted = f'tests_of("{wheel.import_name}"' + (', kind="services"' if wheel.kind == "services" else "") + ")"
    if [(*call.args, call.kwargs.get("kind", "libraries")) for call in calls] != [(wheel.import_name, wheel.kind)]:
        found.append(f"{at(root, build)}: missing, or is not the one line `{wanted}`")
    if not readme.is_file() or wheel.import_name not in _readmes_run(readme):
        found.append(f'{at(root, readme)}: missing, or never calls run_readme("{wheel.import_name}")')
    return found


def _readmes_run(test: Path) -> Iterator[str]:
    for node in ast.walk(parsed(test)):
        match node:
            case ast.Call(
                func=ast.Name("run_readme") | ast.Attribute(attr="run_readme"), args=[ast.Constant(str(name)), *_]
            ):
                yield name
