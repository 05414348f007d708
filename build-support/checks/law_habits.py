"""Law: tests wait for events and never sleep, none is skipped without a reason, and src swallows no error."""

import ast
from collections.abc import Iterator
from pathlib import Path

from repository import at, parsed, python_files

_SLEEPS = {"asyncio.sleep", "anyio.sleep", "trio.sleep"}
# Whether a reason may be given without its name: a condition, or the name of a module, is none.
_SKIPS = {
    "pytest.mark.skip": True,
    "pytest.skip": True,
    "pytest.xfail": True,
    "pytest.mark.skipif": False,
    "pytest.mark.xfail": False,
    "pytest.importorskip": False,
}
_EVERYTHING = {"Exception", "BaseException"}


def offences(root: Path) -> list[str]:
    """Sleeping and silently skipped tests below tests/ and here; swallowed errors below src/."""
    found = []
    for folder in ("tests", "build-support/checks"):
        for path in python_files(root / folder):
            tree = parsed(path)
            known_as = _known_as(tree)
            found += [f"{at(root, path, line)}: {what}" for line, what in _sleeps(tree, known_as)]
            found += [f"{at(root, path, line)}: {what}" for line, what in _skips(tree, known_as)]
    for path in python_files(root / "src"):
        found += [f"{at(root, path, line)}: {what}" for line, what in _swallowed(parsed(path))]
    return found


def _known_as(tree: ast.Module) -> dict[str, str]:
    """Local name -> whole name, for all that the module imports."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _whole_name(node: ast.expr, known_as: dict[str, str]) -> str:
    first, dot, rest = ast.unparse(node).partition(".")
    return known_as.get(first, first) + dot + rest


def _sleeps(tree: ast.Module, known_as: dict[str, str]) -> Iterator[tuple[int, str]]:
    advice = "a test does not sleep: wait for an event with a bound, or inject a clock"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _whole_name(node.func, known_as)
            if name == "time.sleep" or (name in _SLEEPS and any(_fixed_time(arg) for arg in _arguments(node))):
                yield node.lineno, f"{name}(…): {advice}"


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(word.value for word in call.keywords)]


def _fixed_time(delay: ast.expr) -> bool:
    """Whether it is known when written, and is more than sleep(0), which only lets others run."""
    known = not any(isinstance(part, ast.Name) for part in ast.walk(delay))
    return known and not (isinstance(delay, ast.Constant) and delay.value == 0)


def _skips(tree: ast.Module, known_as: dict[str, str]) -> Iterator[tuple[int, str]]:
    reasoned = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _whole_name(node.func, known_as)
            if name in _SKIPS and _says_why(node, name):
                reasoned.add(node.func)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and node not in reasoned:
            name = _whole_name(node, known_as)
            if name in _SKIPS:
                yield node.lineno, f"{name} without a reason; say why and until when, or mend the test"


def _says_why(call: ast.Call, name: str) -> bool:
    texts = [word.value for word in call.keywords if word.arg in ("reason", "msg")]
    if _SKIPS[name]:
        texts += call.args[:1]
    return any(
        not isinstance(text, ast.Constant) or (isinstance(text.value, str) and text.value.strip()) for text in texts
    )


def _swallowed(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield node.lineno, "a bare `except:`; name what you can handle"
            case ast.ExceptHandler(type=caught, body=body) if caught and _catches_everything(caught):
                if all(_does_nothing(statement) for statement in body):
                    yield node.lineno, "swallows every error; name what you can handle, or say what went wrong"
            case ast.Call(func=ast.Name("suppress") | ast.Attribute(attr="suppress"), args=args):
                if any(_catches_everything(arg) for arg in args):
                    yield node.lineno, "suppresses every error; name what you can handle"


def _catches_everything(caught: ast.expr) -> bool:
    each = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(ast.unparse(one) in _EVERYTHING for one in each)


def _does_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass | ast.Continue) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )
