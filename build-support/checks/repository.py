"""The repository as its laws see it: files, wheels, what a BUILD says and what a module imports."""

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Under Pants this is the root of the sandbox, where `//:tree` puts every file at its place.
ROOT = Path(__file__).resolve().parents[2]

# Walked by name, so that what a build, a tool or a sandbox leaves at the root is not taken for ours.
_FOLDERS = (
    ".ci",
    ".github",
    "3rdparty",
    "benchmarks",
    "build-support",
    "contracts",
    "docs",
    "examples",
    "src",
    "tests",
)
_ROOT_FILES = ("*.md", "*.toml", "BUILD", "pants", ".gitignore")
_MADE_BY_TOOLS = {"__pycache__", "node_modules", "dist", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def files(root: Path) -> Iterator[Path]:
    """Every file of the repository, sorted within each folder."""
    for pattern in _ROOT_FILES:
        yield from sorted(root.glob(pattern))
    for folder in _FOLDERS:
        yield from files_below(root / folder)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below one folder; none when it is not there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _MADE_BY_TOOLS.isdisjoint(path.relative_to(folder).parts):
            yield path


def python_files(folder: Path) -> list[Path]:
    """Every Python module below one folder."""
    return [path for path in files_below(folder) if path.suffix == ".py"]


def at(root: Path, path: Path, line: int | None = None) -> str:
    """Where something is, as `file:line` from the root."""
    place = path.relative_to(root).as_posix()
    return place if line is None else f"{place}:{line}"


def text_of(path: Path) -> str:
    """A file's text; what is not UTF-8 is replaced, since a law only searches it."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def parsed(path: Path) -> ast.Module:
    """The syntax tree of one module."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def outside_fences(markdown: str) -> Iterator[tuple[int, str]]:
    """Each line that is in no fenced block, with its number."""
    fence = ""
    for number, line in enumerate(markdown.splitlines(), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        elif not fence:
            yield number, line


@dataclass(frozen=True, slots=True)
class Call:
    """One call in a BUILD, of a macro or of a target type."""

    function: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    line: int


def build_calls(build: Path) -> list[Call]:
    """What a BUILD calls, in order: it is run with a recording function under every name that it uses."""
    tree = ast.parse(build.read_text(encoding="utf-8"), filename=str(build))
    calls: list[Call] = []

    def recorder(name: str) -> Callable[..., None]:
        def record(*args: object, **kwargs: object) -> None:
            calls.append(Call(name, args, kwargs, sys._getframe(1).f_lineno))

        return record

    names: dict[str, object] = {"__builtins__": {}}
    names |= {node.id: recorder(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)}
    exec(compile(tree, str(build), "exec"), names)
    return calls


@dataclass(frozen=True, slots=True)
class Wheel:
    """One folder below src/python, with what its BUILD says (nothing, when the BUILD is missing or calls no macro)."""

    folder: Path
    kind: str  # "libraries" or "services": where it lies
    macro: str  # "library" or "service": what its BUILD calls; "" when neither
    distribution: str
    description: str
    needs: tuple[str, ...]
    extras: Mapping[str, tuple[str, ...]]  # the distributions of each
    doors: tuple[str, ...]
    floors: tuple[tuple[str, ...], ...]
    line: int

    @property
    def import_name(self) -> str:
        """The folder of a wheel is the package."""
        return self.folder.name

    @property
    def build(self) -> Path:
        """The one BUILD of the wheel."""
        return self.folder / "BUILD"


def wheels(root: Path) -> list[Wheel]:
    """Every wheel, libraries first; a folder below src/python that holds any file is one."""
    found = []
    for kind in ("libraries", "services"):
        for folder in sorted((root / "src/python" / kind).glob("*")):
            if folder.is_dir() and next(files_below(folder), None):
                found.append(_wheel(folder, kind))
    return found


def _wheel(folder: Path, kind: str) -> Wheel:
    build = folder / "BUILD"
    calls = build_calls(build) if build.is_file() else []
    call = next((call for call in calls if call.function in ("library", "service")), Call("", (), {}, 1))
    args = dict(zip(("dist", "description"), call.args, strict=False)) | call.kwargs
    floors = args.get("floors", ())
    assert isinstance(floors, list | tuple), f"{build}:{call.line}: `floors` is a list of lists of rooms"
    given = args.get("extras", {})
    assert isinstance(given, dict), f"{build}:{call.line}: `extras` maps the name of each to a list of distributions"
    extras = {str(extra): _strings(names) for extra, names in given.items()}
    return Wheel(
        folder=folder,
        kind=kind,
        macro=call.function,
        distribution=str(args.get("dist", "")),
        description=str(args.get("description", "")),
        needs=_strings(args.get("needs", ())),
        extras=extras,
        doors=_strings(args.get("doors", ("__init__.py", "testing.py"))) + tuple(f"{extra}.py" for extra in extras),
        floors=tuple(_strings(floor) for floor in floors),
        line=call.line,
    )


def _strings(value: object) -> tuple[str, ...]:
    assert isinstance(value, list | tuple), f"a BUILD gives {value!r} where a list of strings belongs"
    return tuple(str(item) for item in value)


@dataclass(frozen=True, slots=True)
class Import:
    """One import: `import module` has no names; a relative one keeps its leading dots."""

    module: str
    names: tuple[str, ...]
    line: int

    @property
    def top(self) -> str:
        """The first part of the module's name; "" for a relative import."""
        return self.module.partition(".")[0]


def imports(path: Path) -> list[Import]:
    """Every import of a module, wherever it stands: in a function, a branch or below TYPE_CHECKING."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, (), node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.append(Import(module, tuple(alias.name for alias in node.names), node.lineno))
    return sorted(found, key=lambda imported: imported.line)


def is_ours(top: str) -> bool:
    """Whether the first part of a module's name is that of a wheel of ours, there or not."""
    return top.startswith("maestro_") or top in ("claude_team_sdk", "quality_fabric")


def imported_wheels(root: Path, wheel: Wheel) -> dict[str, str]:
    """The wheels of ours that one wheel imports, each with the first place where it does."""
    found: dict[str, str] = {}
    for path in python_files(wheel.folder):
        for imported in imports(path):
            if is_ours(imported.top) and imported.top != wheel.import_name:
                found.setdefault(imported.top, at(root, path, imported.line))
    return found
