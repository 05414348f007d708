"""The laws about wheels bite: each wrong tree differs from the sound one in one thing, and one offence names it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from law_doors import offences as doors
from law_exports import offences as exports
from law_exports import order
from law_floors import offences as floors
from law_needs import offences as needs
from law_standard_library import offences as standard_library
from law_wheel_folders import offences as wheel_folders
from repository import wheels
from sound_tree import ENGINE, RESILIENCE, TOOLS, WORKFLOW_ENGINE, broken

QUALITY = "src/python/services/quality_fabric"
DOOR = f"{TOOLS}/__init__.py"
README_OF_EXTRA = "```python\n```\n```python mcp\n```\n## Promises\n## Limits\n"
ENGINE_TESTS = "tests/services/maestro_engine"


@pytest.mark.parametrize("law", [doors, exports, floors, needs, standard_library, wheel_folders])
def test_a_sound_tree_has_no_offence(law: Callable[[Path], list[str]], tmp_path: Path) -> None:
    assert broken(tmp_path, law, {}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {f"{TOOLS}/_late.py": "def f() -> None:\n    import maestro_resilience\n"},
            f"{TOOLS}/_late.py:2: imports maestro_resilience",
        ),
        ({f"{TOOLS}/_a.py": "from maestro_cache.x import y\n"}, f"{TOOLS}/_a.py:1: imports maestro_cache"),
        ({f"{WORKFLOW_ENGINE}/_run.py": ""}, f"{WORKFLOW_ENGINE}/BUILD:1: `needs` names maestro_resilience, which"),
        (
            {f"{WORKFLOW_ENGINE}/BUILD": 'library("maestro-workflow-engine", "", needs=["maestro_resilience"] * 2)\n'},
            "names maestro_resilience twice",
        ),
    ],
    ids=["imported in a function only", "not even there", "named only", "named twice"],
)
def test_needs_other_than_the_imports_are_found(changes: dict[str, str], expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, needs, changes)
    assert expected in offence


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {f"{RESILIENCE}/_up.py": "import maestro_tools\n"},
            "_up.py:1: maestro_resilience (floor 0) knows maestro_tools (floor 2)",
        ),
        (
            {f"{TOOLS}/_side.py": "import maestro_workflow_engine\n"},
            "(floor 2) knows maestro_workflow_engine (floor 2)",
        ),
        ({f"{TOOLS}/_far.py": "import maestro_cache\n"}, "no such wheel"),
        ({f"{TOOLS}/_roof.py": "import maestro_engine.app\n"}, "_roof.py:1: knows the service maestro_engine"),
        ({f"{QUALITY}/app.py": "import maestro_engine\n"}, f"{QUALITY}/app.py:1: knows the service maestro_engine"),
        (
            {f"{QUALITY}/BUILD": 'service("quality-fabric", "Tests.", needs=["maestro_engine"])\n'},
            "BUILD:1: knows the service",
        ),
        ({"src/python/libraries/maestro_new/_x.py": ""}, "maestro_new has no floor"),
        ({f"{ENGINE}/feed/__init__.py": ""}, f"{ENGINE}/BUILD:1: the room feed/ is on none"),
        ({f"{ENGINE}/http/__init__.py": None}, "names http, and there is no such room"),
    ],
    ids=[
        "up",
        "sideways",
        "nowhere",
        "a service",
        "quality",
        "quality by needs",
        "no floor",
        "a loose room",
        "no room",
    ],
)
def test_ways_that_do_not_go_down_are_found(changes: dict[str, str | None], expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, floors, changes)
    assert expected in offence


def test_a_circle_is_drawn(tmp_path: Path) -> None:
    found = broken(tmp_path, floors, {f"{RESILIENCE}/_up.py": "from maestro_workflow_engine import x\n"})
    (circle,) = [offence for offence in found if "cut this circle" in offence]
    assert "maestro_resilience imports maestro_workflow_engine" in circle
    assert "maestro_workflow_engine imports maestro_resilience" in circle


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({f"{TOOLS}/BUILD": None}, "calls neither library() nor service()"),
        ({f"{TOOLS}/BUILD": 'service("maestro-tools", "Tools.")\n'}, "calls service() below src/python/libraries"),
        ({f"{TOOLS}/BUILD": '\nlibrary("maestro_tools", "Tools.")\n'}, "BUILD:2: the wheel is called maestro_tools"),
        ({f"{TOOLS}/BUILD": 'library("maestro-tools", "")\n'}, "is not a sentence"),
        (
            {f"{TOOLS}/VERSION": "1.0\n", f"{TOOLS}/CHANGELOG.md": "## 1.0 - 2026-11-21\n"},
            "VERSION: missing, or not one line",
        ),
        ({f"{TOOLS}/CHANGELOG.md": "# Changes\n"}, "CHANGELOG.md: missing, or without an entry"),
        (
            {f"{TOOLS}/CHANGELOG.md": "## Unreleased\n## 0.0.9 - 2026-11-20\n## 0.1.0 - 2026-11-21\n"},
            "CHANGELOG.md:2: the top",
        ),
        ({f"{TOOLS}/README.md": "## Promises\n```python\n```\n```\n## Limits\n```\n"}, "has no heading `Limits`"),
        ({f"{TOOLS}/README.md": "## Promises\n## Limits\n"}, "no ```python block"),
        ({f"{TOOLS}/py.typed": None}, "py.typed: missing"),
        ({f"{TOOLS}/__init__.py": "import mcp\n"}, "__init__.py: missing, or has no docstring"),
        (
            {f"{ENGINE_TESTS}/BUILD": 'tests_of("maestro_engine")\n'},
            'the one line `tests_of("maestro_engine", kind="services")`',
        ),
        (
            {f"{ENGINE_TESTS}/test_readme.py": 'run_readme("maestro_tools")\n'},
            'never calls run_readme("maestro_engine")',
        ),
        (
            {f"{TOOLS}/README.md": README_OF_EXTRA},
            "is for the extra mcp, which the BUILD does not declare",
        ),
        (
            {
                f"{TOOLS}/README.md": README_OF_EXTRA,
                f"{TOOLS}/BUILD": 'library("maestro-tools", "Tools.", extras={"mcp": ["mcp"]})\n',
            },
            "no test runs its blocks for the extra mcp",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)).rpartition("/")[2],
)
def test_an_incomplete_folder_is_found(changes: dict[str, str | None], expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, wheel_folders, changes)
    assert expected in offence


@pytest.mark.parametrize(
    ("door", "text", "expected"),
    [
        (DOOR, "from maestro_tools._call import call\n", ":1: has no `__all__"),
        (DOOR, 'from mcp import a\n__all__ = ["a", "b"]\n', ":2: `__all__` names b"),
        (DOOR, 'from mcp import a, b\n__all__ = ["b"]\n', ":1: a is public"),
        (DOOR, 'from mcp import x as a\ntry:\n    import b\nfinally:\n    c = 1\n__all__ = ["a"]\n', ":3: b is public"),
        (DOOR, 'from mcp import A, b\n__all__ = ["b", "A"]\n', ":2: `__all__` is not sorted: A comes earlier"),
        (DOOR, 'from mcp import a\n__all__ = ["a", "a"]\n', ":2: `__all__` names something twice"),
        (f"{TOOLS}/testing.py", "class Fake: ...\n", "testing.py:1: has no `__all__"),
        (f"{ENGINE}/__init__.py", '"""Doc."""\n__all__ = []\n', "__init__.py:2: a service has no door"),
    ],
    ids=["none", "more", "less", "less in a branch", "unsorted", "twice", "second door", "service"],
)
def test_an_untrue_list_of_exports_is_found(door: str, text: str, expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, exports, {door: text})
    assert expected in offence


def test_exports_are_in_the_order_that_ruff_makes() -> None:
    names = ["run", "a_b", "WorkflowError", "Step10", "Step2", "A", "UTC", "MAX_SIZE"]
    right = ["MAX_SIZE", "UTC", "A", "Step2", "Step10", "WorkflowError", "a_b", "run"]
    assert sorted(names, key=order) == right


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({f"{TOOLS}/calls.py": ""}, f"{TOOLS}/calls.py: is not a door"),
        ({f"{TOOLS}/store/__init__.py": ""}, "call it _store"),
        ({f"{TOOLS}/_store/sqlite.py": ""}, "call it _sqlite.py"),
        ({f"{WORKFLOW_ENGINE}/_x.py": "from maestro_resilience._errors import A\n"}, "_x.py:1: reaches _errors"),
        ({f"{WORKFLOW_ENGINE}/_x.py": "from maestro_resilience import _errors\n"}, "_x.py:1: reaches _errors"),
        ({f"{ENGINE_TESTS}/test_x.py": "\nimport maestro_resilience._errors\n"}, "test_x.py:2: reaches _errors"),
        ({"tests/journeys/test_x.py": "from maestro_tools._call import x\n"}, "test_x.py:1: reaches _call"),
        ({f"{TOOLS}/_x.py": "def f() -> None:\n    from . import _call\n"}, "_x.py:2: a relative import"),
    ],
    ids=["file", "folder", "file in a folder", "wheel", "name", "tests of another", "journey", "relative"],
)
def test_a_way_past_the_door_is_found(changes: dict[str, str], expected: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, doors, changes)
    assert expected in offence


def test_a_door_named_in_the_build_is_one(tmp_path: Path) -> None:
    build = 'library("maestro-tools", "Tools.", doors=["__init__.py", "cassettes.py"])\n'
    assert broken(tmp_path, doors, {f"{TOOLS}/BUILD": build, f"{TOOLS}/cassettes.py": ""}) == []


@pytest.mark.parametrize("line", ["import yaml", "from pydantic import BaseModel", "import maestro_tools"])
def test_anything_foreign_in_a_wheel_on_the_standard_library_is_found(line: str, tmp_path: Path) -> None:
    (offence,) = broken(tmp_path, standard_library, {f"{WORKFLOW_ENGINE}/_x.py": f"def f() -> None:\n    {line}\n"})
    assert f"{WORKFLOW_ENGINE}/_x.py:2: imports" in offence


def test_an_extra_is_a_door_and_may_bring_more(tmp_path: Path) -> None:
    """Its distributions are imported in its door and in the files beside that; nowhere else."""
    words = '"maestro-workflow-engine", "Workflows.", needs=["maestro_resilience"], extras={"dbos": ["dbos-core"]}'
    changes = {f"{WORKFLOW_ENGINE}/BUILD": f"library({words})\n"}
    for file in ("dbos.py", "_dbos_tables.py", "_dbos/_a.py"):
        changes[f"{WORKFLOW_ENGINE}/{file}"] = "import dbos_core\n"
    assert broken(tmp_path / "a", doors, changes) == []
    assert broken(tmp_path / "b", standard_library, changes) == []
    changes[f"{WORKFLOW_ENGINE}/_run_all.py"] = "import dbos_core\n"
    (offence,) = broken(tmp_path / "c", standard_library, changes)
    assert f"{WORKFLOW_ENGINE}/_run_all.py:1: imports dbos_core" in offence


def test_a_build_is_read_whatever_else_it_names(tmp_path: Path) -> None:
    """Macros that no law knows, computed lists and arguments given by name change nothing."""
    build = (
        'files(name="x", sources=glob("*"))\nrooms = ["http", "feed"]\n'
        'service(\n    dist="maestro-engine",\n    description="The door.",\n'
        '    needs=["maestro_" + end for end in ("tools", "cli")],\n    floors=[rooms],\n)\n'
    )
    (engine,) = (
        wheel for wheel in broken(tmp_path, wheels, {f"{ENGINE}/BUILD": build}) if wheel.import_name == "maestro_engine"
    )
    assert (engine.kind, engine.macro, engine.distribution, engine.line) == ("services", "service", "maestro-engine", 3)
    assert (engine.needs, engine.floors) == (("maestro_tools", "maestro_cli"), (("http", "feed"),))
    assert engine.doors == ("__init__.py", "testing.py")
