"""The command `maestro-db`: migrations by hand."""

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from maestro_core_config import SecretText
from maestro_core_db._database import Database
from maestro_core_db._errors import DatabaseError, DatabaseNotCurrent
from maestro_core_db._migrate._migrations import Migrations
from maestro_core_db._settings import DatabaseSettings

URL_VARIABLE = "MAESTRO_DB_URL"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when all is well, 1 when a check finds something, 2 when it could not be run."""
    words = _parser().parse_args(arguments)
    try:
        migrations = _load(words.migrations)
        if words.command == "sql":
            print(migrations.sql(words.dialect, words.span))
            code = 0
        else:
            code = asyncio.run(_run(migrations, _settings(), words))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (DatabaseError, LookupError, ImportError, ValueError) as error:
        print(f"maestro-db: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-db",
        description=f"Migrates the database that {URL_VARIABLE} names.",
        epilog="exit codes: 0 done, 1 the check found something, 2 could not be done",
    )
    parser.add_argument("migrations", help="where they are, as package.module:name")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("current", help="print the revision of the database")
    commands.add_parser("check", help="is the database at the newest revision, and as the models say?")
    upgrade = commands.add_parser("upgrade", help="run the revisions that are missing")
    upgrade.add_argument("revision", nargs="?", default="head", help="up to this one (head)")
    downgrade = commands.add_parser("downgrade", help="undo revisions, the newest first")
    downgrade.add_argument("revision", help='down to this one; "-1" is one step, "base" is all')
    commands.add_parser("revision", help="write the next revision").add_argument("message")
    sql = commands.add_parser("sql", help="print the upgrade as a script")
    sql.add_argument("--dialect", choices=["postgresql", "sqlite"], default="postgresql")
    sql.add_argument("span", nargs="?", default="head", help='"head", or "from:to"')
    return parser


def _settings() -> DatabaseSettings:
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise LookupError(f"set {URL_VARIABLE}; on the command line others would see the password")
    try:
        return DatabaseSettings(url=SecretText(url))
    except ValidationError as error:
        problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise ValueError(f"{URL_VARIABLE}: {problems}") from None  # the cause may quote the URL


def _load(place: str) -> Migrations:
    module, _, name = place.partition(":")
    sys.path.insert(0, os.getcwd())
    found = getattr(importlib.import_module(module), name or "migrations", None)
    if not isinstance(found, Migrations):
        raise LookupError(f"{place} names no Migrations; write package.module:name")
    return found


async def _run(migrations: Migrations, settings: DatabaseSettings, words: argparse.Namespace) -> int:
    async with Database(settings) as database:
        match words.command:
            case "upgrade":
                print("\n".join(await migrations.upgrade(database, words.revision)) or "nothing to do")
            case "downgrade":
                print("\n".join(await migrations.downgrade(database, words.revision)) or "nothing to do")
            case "current":
                print(await migrations.current(database) or "base")
            case "revision":
                print(await migrations.write_revision(database, words.message))
            case "check":
                try:
                    await migrations.require_current(database)
                    differences = await migrations.differences(database)
                except DatabaseNotCurrent as error:
                    differences = [str(error)]
                print("\n".join(differences) or "the database is as the models say")
                return 1 if differences else 0
    return 0
