"""Law: `__all__` of every door of a library is sorted and true; a service has no door, only a docstring."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from repository import at, parsed, wheels


def offences(root: Path) -> list[str]:
    """Doors whose `__all__` is missing, unsorted, or says more or less than the door holds."""
    found = []
    for wheel in wheels(root):
        if wheel.kind == "services":
            found += _not_empty(root, wheel.folder / "__init__.py")
            continue
        for door in (wheel.folder / name for name in wheel.doors):
            if door.is_file():
                found += _untrue(root, door)
    return found


def order(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """The order of ruff's RUF022: CONSTANTS, then Classes, then the rest; numbers inside a name by their value."""
    group = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    parts = re.findall(r"\d+|\D+", name)
    return group, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _not_empty(root: Path, init: Path) -> list[str]:
    extra = parsed(init).body[1:] if init.is_file() else []
    return [f"{at(root, init, node.lineno)}: a service has no door; keep its docstring alone" for node in extra[:1]]


def _untrue(root: Path, door: Path) -> list[str]:
    tree = parsed(door)
    bound = dict(_bound(tree.body, imports_offer=door.name == "__init__.py"))
    offered = {name for name, binding in bound.items() if binding.offered and not name.startswith("_")}
    listed = _listed(tree)
    if listed is None:
        # A door that offers nothing has nothing to list.
        return [f'{at(root, door, 1)}: has no `__all__ = ["…"]`; list what it offers'] if offered else []
    line, names = listed
    found = []
    for name in sorted(set(names) - bound.keys()):
        found.append(
            f"{at(root, door, line)}: `__all__` names {name}, which is not defined here; take it out or import it"
        )
    for name in sorted(offered - set(names)):
        found.append(
            f"{at(root, door, bound[name].line)}: {name} is public and not in `__all__`; list it or underscore it"
        )
    if len(set(names)) < len(names):
        found.append(f"{at(root, door, line)}: `__all__` names something twice; once is enough")
    elif late := [name for before, name in pairwise(names) if order(name) < order(before)]:
        found.append(
            f"{at(root, door, line)}: `__all__` is not sorted: {late[0]} comes earlier; build-support/bin/fix sorts it"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Binding:
    """Where a door gets a name; `offered` is False for what it only needs itself, as `TYPE_CHECKING`."""

    line: int
    offered: bool


def _bound(body: list[ast.stmt], *, imports_offer: bool) -> Iterator[tuple[str, _Binding]]:
    """Every name that the top level binds, in branches as well."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, _Binding(node.lineno, offered=True)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                module = alias.name if isinstance(node, ast.Import) else node.module or ""
                name = alias.asname or (module.partition(".")[0] if isinstance(node, ast.Import) else alias.name)
                standard = module.partition(".")[0] in sys.stdlib_module_names
                yield name, _Binding(node.lineno, offered=imports_offer and not standard)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    # A constant or a TypeVar may be listed, and need not be.
                    yield target.id, _Binding(node.lineno, offered=False)
        else:
            branches = [node, *getattr(node, "handlers", [])]
            for statements in (
                getattr(branch, part, []) for branch in branches for part in ("body", "orelse", "finalbody")
            ):
                yield from _bound(statements, imports_offer=imports_offer)


def _listed(tree: ast.Module) -> tuple[int, list[str]] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.List | ast.Tuple):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [ast.unparse(target) for target in targets] == ["__all__"]:
                return node.lineno, [str(ast.literal_eval(item)) for item in node.value.elts]
    return None
