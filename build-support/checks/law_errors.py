"""Law: `_errors.py` of a library opens with the tree of its errors, as they are, and each has a code of its own."""

import ast
import builtins
import re
from dataclasses import dataclass
from pathlib import Path

from repository import at, parsed, wheels

_CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ROOM = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# What stands before a name in a drawn tree: only spaces and branches.
_DRAWN = re.compile(r"[\s│├└─|+`-]*(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class _ErrorClass:
    """One error; `parent` is the nearest error of the same file above it, None for a root."""

    name: str
    parent: str | None
    code: str | None
    line: int


def offences(root: Path) -> list[str]:
    """Trees that are missing or wrong; codes that are missing, ill-formed, or taken."""
    found: list[str] = []
    taken: dict[str, str] = {}
    for wheel in wheels(root):
        path = wheel.folder / "_errors.py"
        if wheel.kind != "libraries" or not path.is_file():
            continue
        tree = parsed(path)
        errors = _errors(tree)
        found += _tree_offences(root, path, ast.get_docstring(tree) or "", errors)
        for error in errors:
            place = at(root, path, error.line)
            found += _code_offences(place, error)
            if error.code in taken:
                found.append(
                    f"{place}: {error.name} takes the code {error.code!r} of {taken[error.code]}; give it its own"
                )
            elif error.code:
                taken[error.code] = place
    return found


def _errors(tree: ast.Module) -> list[_ErrorClass]:
    """Every class of the file that descends from an exception, in order."""
    found: dict[str, _ErrorClass] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            parent = next((base for base in bases if base in found), None)
            if parent or any(_is_exception(base) for base in bases):
                found[node.name] = _ErrorClass(node.name, parent, _code(node), node.lineno)
    return list(found.values())


def _is_exception(name: str) -> bool:
    known = getattr(builtins, name, None)
    return name.endswith(("Error", "Exception")) or (isinstance(known, type) and issubclass(known, BaseException))


def _code(node: ast.ClassDef) -> str | None:
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Constant):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if [ast.unparse(target) for target in targets] == ["code"]:
                return str(statement.value.value)
    return None


def _code_offences(place: str, error: _ErrorClass) -> list[str]:
    if error.code is None:
        return [f'{place}: {error.name} has no `code` of its own; give it one, as code = "room.what-is-wrong"']
    if _CODE.fullmatch(error.code) or (error.parent is None and _ROOM.fullmatch(error.code)):
        return []
    return [f"{place}: the code {error.code!r} of {error.name} is not in the form room.what-is-wrong"]


def drawn_parents(docstring: str, names: set[str]) -> dict[str, str | None]:
    """Whom each name hangs from in the drawing: the nearest line above it that begins further left."""
    parents: dict[str, str | None] = {}
    above: list[tuple[int, str]] = []
    for line in docstring.splitlines():
        drawn = _DRAWN.match(line)
        if drawn and drawn["name"] in names and drawn["name"] not in parents:
            column = drawn.start("name")
            above = [(other, name) for other, name in above if other < column]
            parents[drawn["name"]] = above[-1][1] if above else None
            above.append((column, drawn["name"]))
    return parents


def _tree_offences(root: Path, path: Path, docstring: str, errors: list[_ErrorClass]) -> list[str]:
    drawn = drawn_parents(docstring, {error.name for error in errors})
    found = []
    for error in errors:
        place = at(root, path, error.line)
        if error.name not in drawn:
            found.append(f"{place}: {error.name} is missing in the tree that opens the file; draw it there")
        elif drawn[error.name] != error.parent:
            found.append(
                f"{place}: {error.name} is drawn below {drawn[error.name]}, but is below {error.parent}; redraw it"
            )
    return found
