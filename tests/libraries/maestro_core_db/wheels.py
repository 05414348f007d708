"""Makes small packages with migrations, as a wheel would install them."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import MetaData

from maestro_core_db import Migrations

HEADER = '''"""{name}."""
import sqlalchemy as sa
from alembic import op
import maestro_core_db
revision = "{name}"
down_revision = {before!r}
'''


def up(*lines: str) -> str:
    """The body of a revision that goes up; its downgrade is empty."""
    return function("upgrade", *lines) + "# no downgrade: a test of the way up\n" + function("downgrade")


def function(name: str, *lines: str) -> str:
    """A function of a revision."""
    return f"def {name}():\n" + "".join(f"    {line}\n" for line in (lines or ("pass",)))


@contextmanager
def installed(folder: Path, package: str, revisions: Mapping[str, str], metadata: MetaData) -> Iterator[Migrations]:
    """Migrations of a package of this name with these revisions, one after the other."""
    where = folder / package / "_migrations"
    where.mkdir(parents=True)
    (folder / package / "__init__.py").write_text("")
    before = None
    for name, body in revisions.items():
        (where / f"{name}.py").write_text(HEADER.format(name=name, before=before) + body)
        before = name
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield Migrations(package, metadata)
    finally:
        sys.path.remove(str(folder))
