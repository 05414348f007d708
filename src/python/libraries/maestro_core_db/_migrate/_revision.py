"""Writes the file of a new revision."""

from pathlib import Path
from textwrap import indent

from alembic.autogenerate import render_python_code
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from maestro_core_db._migrate._environment import compare_options
from maestro_core_db._migrate._scripts import next_revision

_TEXT = '''"""{message}"""

import sqlalchemy as sa
from alembic import op
{imports}
revision = "{revision}"
down_revision = {before!r}


def upgrade() -> None:
{up}


def downgrade() -> None:
{down}
'''


def write_revision(
    scripts: ScriptDirectory, context: MigrationContext, produced: MigrationScript, message: str
) -> Path:
    """Write what was found to differ, in both directions, as the next revision; its file."""
    revision = next_revision(scripts, message)
    rendered = [
        render_python_code(ops, migration_context=context, render_as_batch=True, render_item=render)
        for render in [compare_options(context.opts["target_metadata"], "")["render_item"]]
        for ops in (produced.upgrade_ops, produced.downgrade_ops)
        if ops is not None
    ]
    up, down = (_dedented(code) for code in rendered)
    imports = "import maestro_core_db\n" if "maestro_core_db." in up + down else ""
    path = Path(scripts.dir) / f"{revision}.py"
    path.write_text(
        _TEXT.format(
            message=message.replace('"', "'"),
            imports=imports,
            revision=revision,
            before=scripts.get_current_head(),
            up=indent(up, "    "),
            down=indent(down, "    "),
        ),
        encoding="utf-8",
    )
    return path


def _dedented(code: str) -> str:
    # Alembic indents all but the first line for the function that its own template has.
    return "\n".join(line.removeprefix("    ") for line in code.splitlines())
