"""The smallest repository in which every law holds; a test breaks one thing in it and sees the law bite."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_README = "# {wheel}\n\n```python\nimport {name}\n```\n\n## Promises\n\nNone.\n\n## Limits\n\nMany.\n"
_HASH = "--hash=sha256:" + "0123456789abcdef" * 4


def _wheel(kind: str, name: str, build: str) -> dict[str, str]:
    folder, tests = f"src/python/{kind}/{name}", f"tests/{kind}/{name}"
    kind_given = ', kind="services"' if kind == "services" else ""
    return {
        f"{folder}/BUILD": build,
        f"{folder}/VERSION": "0.1.0\n",
        f"{folder}/README.md": _README.format(name=name, wheel=name.replace("_", "-")),
        f"{folder}/CHANGELOG.md": "# Changelog\n\n## 0.1.0 - 2026-11-21\n\n- The first.\n",
        f"{folder}/py.typed": "",
        f"{folder}/__init__.py": '"""What it is."""\n',
        f"{tests}/BUILD": f'tests_of("{name}"{kind_given})\n',
        f"{tests}/test_readme.py": f'from kit.readme import run_readme\n\nrun_readme("{name}")\n',
    }


RESILIENCE = "src/python/libraries/maestro_resilience"
WORKFLOW_ENGINE = "src/python/libraries/maestro_workflow_engine"
TOOLS = "src/python/libraries/maestro_tools"
ENGINE = "src/python/services/maestro_engine"

SOUND: Mapping[str, str] = {
    "README.md": (
        "# Maestro\n\n    ./pants maestro run x.yml  # the main job\n    ./pants test ::\n\n## Rooms\n\n"
        "[How](CONTRIBUTING.md#a-change), [why](docs/decisions/0002-second.md), [there](" + "https://example.org/x)\n"
    ),
    "CONTRIBUTING.md": "# Contributing\n\n## A change\n\nWrite `[no](link.md)`.\n\n```\n[none](either.md)\n```\n",
    ".ci/run": "#!/usr/bin/env bash\n./pants test ::\n./pants maestro run x.yml\n",
    "docs/decisions/0001-first.md": "# 1. First\n",
    "docs/decisions/0002-second.md": "# 2. Second\n",
    "pants.toml": '[python.resolves]\ndefault = "3rdparty/python/default.lock"\n',
    "build-support/pants/pants.txt": "pantsbuild.pants==2.17.1\n",
    "build-support/pants/pants.lock": f"pantsbuild-pants==2.17.1 \\\n    {_HASH}\n",
    "3rdparty/python/BUILD": (
        'python_requirements(name="default")\nwho_may_use("default", {"mcp": ["maestro_tools"], "pytest": []})\n'
    ),
    "3rdparty/python/default.txt": "# tools\nmcp>=2.3,<3  # protocol\npytest>=9\n",
    "3rdparty/python/default.lock": (
        f"mcp==2.4.0 \\\n    {_HASH} \\\n    {_HASH}\npytest==9.2 ; python_full_version < '3.13' \\\n    {_HASH}\n"
    ),
    **_wheel("libraries", "maestro_resilience", 'library(\n    "maestro-resilience",\n    "Retries.",\n)\n'),
    f"{RESILIENCE}/__init__.py": (
        '"""Retries."""\n\nfrom typing import TYPE_CHECKING\n\n'
        "from maestro_resilience._errors import LIMIT, CallRefused, ResilienceError, is_open\n\n"
        "if TYPE_CHECKING:\n    from maestro_resilience._errors import Lane9, Lane10\n\n"
        '__all__ = ["LIMIT", "CallRefused", "Lane9", "Lane10", "ResilienceError", "is_open"]\n'
    ),
    f"{RESILIENCE}/_errors.py": (
        '"""What it raises.\n\nResilienceError     resilience\n└── CallRefused     resilience.call-refused\n"""\n\n'
        "from typing import ClassVar\n\n\n"
        'class ResilienceError(Exception):\n    code: ClassVar[str] = "resilience"\n\n\n'
        'class CallRefused(ResilienceError):\n    code = "resilience.call-refused"\n'
    ),
    f"{RESILIENCE}/testing.py": (
        '"""Clocks."""\n\nfrom maestro_resilience._errors import CallRefused\n\n'
        '__all__ = ["Clock"]\n\nT = CallRefused\n\n\nclass Clock:\n    pass\n'
    ),
    "tests/libraries/maestro_resilience/test_retry.py": (
        "import asyncio\n\nimport pytest\n\nfrom maestro_resilience import _errors\n\n\n"
        '@pytest.mark.skipif(_errors is None, reason="nothing to retry")\n'
        "async def test_retry() -> None:\n    await asyncio.sleep(0)\n"
    ),
    **_wheel(
        "libraries",
        "maestro_workflow_engine",
        'library("maestro-workflow-engine", "Workflows.", needs=["maestro_resilience"])\n',
    ),
    f"{WORKFLOW_ENGINE}/_run.py": (
        "import sqlite3\nfrom typing import TYPE_CHECKING\n\n"
        "if TYPE_CHECKING:\n    from maestro_resilience import CallRefused\n\n\n"
        "def run() -> None:\n    try:\n        sqlite3.connect()\n    except sqlite3.Error:\n        pass\n"
    ),
    **_wheel("libraries", "maestro_tools", 'library("maestro-tools", "Tools.")\n'),
    f"{TOOLS}/_errors.py": (
        '"""What it raises.\n\n    ToolsError    tools\n"""\n\n\n'
        'class ToolsError(Exception):\n    code = "tools.failed"\n'
    ),
    f"{TOOLS}/_call.py": "import mcp\n",
    **_wheel(
        "services",
        "maestro_engine",
        'service(\n    "maestro-engine",\n    "The door.",\n    needs=["maestro_workflow_engine"],\n'
        '    floors=[["http"], ["workflows"]],\n    entry_points={"console_scripts": names()},\n)\n',
    ),
    f"{ENGINE}/app.py": "import maestro_workflow_engine\nfrom maestro_engine.http import edge\n",
    f"{ENGINE}/http/__init__.py": '"""In."""\n',
    f"{ENGINE}/http/edge.py": "",
    f"{ENGINE}/workflows/__init__.py": '"""What it does."""\n',
}


def broken(root: Path, law: Callable[[Path], list[T]], changes: Mapping[str, str | None]) -> list[T]:
    """What a law says of the sound tree with some files written anew, or taken away (None)."""
    for name, text in {**SOUND, **changes}.items():
        if text is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return law(root)
