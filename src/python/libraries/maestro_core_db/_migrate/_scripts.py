"""The revisions of a wheel, in its folder `_migrations`."""

import ast
import importlib.util
import re
from pathlib import Path
from typing import Literal

from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from maestro_core_db._errors import BrokenMigrations

FOLDER = "_migrations"
_MAX_REVISION = 32  # what Alembic's table of versions holds

# A comment of its own in a revision, that says why something is as it is.
Waiver = Literal["long lock", "no downgrade"]


def folder_of(package: str) -> Path:
    """Where the revisions of an installed package are; the package itself is not imported."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError) as error:
        raise BrokenMigrations(f"the package {package} cannot be found: {error}") from error
    if found is None or not found.submodule_search_locations:
        raise BrokenMigrations(f"{package} is no package that can be imported")
    return Path(next(iter(found.submodule_search_locations))) / FOLDER


def load_scripts(folder: Path) -> ScriptDirectory:
    """Alembic's view of the folder; raises BrokenMigrations unless its revisions are one line."""
    if not folder.is_dir():
        raise BrokenMigrations(
            f"there is no folder {folder.name} in {folder.parent.name}: `maestro-db … revision` makes it"
        )
    scripts = ScriptDirectory(str(folder), version_locations=[str(folder)])
    try:
        heads = scripts.get_heads()
        list(scripts.walk_revisions())
    except (CommandError, SyntaxError, UserWarning, KeyError) as error:
        raise BrokenMigrations(f"{folder.parent.name}/{FOLDER}: {error}") from error
    if len(heads) > 1:
        raise BrokenMigrations(
            f"{folder.parent.name}/{FOLDER} has {len(heads)} heads ({', '.join(sorted(heads))}): "
            "give all but one the other as its down_revision"
        )
    return scripts


def in_order(scripts: ScriptDirectory) -> list[Script]:
    """All revisions, the first one first."""
    return list(scripts.walk_revisions())[::-1]


def waiver(script: Script, what: Waiver) -> str | None:
    """The reason in a revision's comment `# long lock: …` or `# no downgrade: …`, None when there is none."""
    text = Path(script.path).read_text(encoding="utf-8")
    found = re.search(rf"^\s*# {what}:[ \t]*(\S.*)$", text, re.MULTILINE)
    return found[1] if found else None


def has_downgrade(script: Script) -> bool:
    """Whether the revision has a function `downgrade` that does anything at all."""
    tree = ast.parse(Path(script.path).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade":
            return any(not isinstance(step, ast.Pass | ast.Raise) and not _is_text(step) for step in node.body)
    return False


def _is_text(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def next_revision(scripts: ScriptDirectory, message: str) -> str:
    """A name for the next revision: its number and what it does."""
    words = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
    if not words:
        raise BrokenMigrations("a revision is named after what it does: give a message with letters")
    return f"{len(in_order(scripts)) + 1:04}_{words}"[:_MAX_REVISION].rstrip("_")
