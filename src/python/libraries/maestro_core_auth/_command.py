"""The command `maestro-auth`: the first admin, users and keys of a store in a file."""

import argparse
import asyncio
import os
import sqlite3
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from maestro_core_auth._clock import utc_now
from maestro_core_auth._errors import AuthError
from maestro_core_auth._first_admin import ADMIN, init_admin
from maestro_core_auth._keys import DAY_S, ApiKeys, IssuedKey
from maestro_core_auth._principal import EVERY_SCOPE
from maestro_core_auth._records import KeyRecord
from maestro_core_auth._sqlite_store import SqliteAuthStore
from maestro_core_auth._store import AuthStore
from maestro_core_auth._users import Users


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when it did what was asked, 1 when that cannot be, with a line that says why."""
    asked = _parser().parse_args(arguments)
    try:
        if not asked.store.exists() and asked.run is not _init_admin:
            raise AuthError(f"there is no store at {asked.store}; `maestro-auth init-admin` makes one")
        asyncio.run(_with_store(asked))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (AuthError, OSError, sqlite3.Error) as error:  # the last for a full disk, or a store that others keep busy
        sys.stderr.write(f"maestro-auth: {error}\n")
        return 1
    return 0


async def _with_store(asked: argparse.Namespace) -> None:
    async with SqliteAuthStore(asked.store) as store:
        await asked.run(store, asked)


async def _init_admin(store: AuthStore, asked: argparse.Namespace) -> None:
    _show(await init_admin(store, asked.name, again=asked.again, pepper=_pepper(asked)))


async def _add_user(store: AuthStore, asked: argparse.Namespace) -> None:
    user = await Users(store).add(asked.name, asked.role)
    print(f"{user.subject}: {', '.join(sorted(user.roles)) or 'no role'}")


async def _set_roles(store: AuthStore, asked: argparse.Namespace) -> None:
    user = await Users(store).set_roles(asked.name, asked.role)
    print(f"{user.subject}: {', '.join(sorted(user.roles)) or 'no role'}")


async def _issue_key(store: AuthStore, asked: argparse.Namespace) -> None:
    keys = ApiKeys(store, pepper=_pepper(asked))
    scopes = asked.scope or EVERY_SCOPE
    lifetime_s = asked.days * DAY_S
    _show(await keys.issue(asked.name, roles=asked.role, scopes=scopes, label=asked.label, lifetime_s=lifetime_s))


async def _list_keys(store: AuthStore, asked: argparse.Namespace) -> None:
    now = utc_now()
    for key in await ApiKeys(store).list(asked.name):
        print("  ".join((key.id, key.subject, _state(key, now), _narrowed(key), key.label)).rstrip())


async def _revoke_key(store: AuthStore, asked: argparse.Namespace) -> None:
    await ApiKeys(store).revoke(asked.id)
    print(f"{asked.id} is revoked")


async def _rotate_key(store: AuthStore, asked: argparse.Namespace) -> None:
    keys = ApiKeys(store, pepper=_pepper(asked))
    _show(await keys.rotate(asked.id, overlap_s=asked.overlap_hours * 3600))


def _pepper(asked: argparse.Namespace) -> bytes:
    return asked.pepper_file.read_bytes().strip() if asked.pepper_file else b""


def _show(issued: IssuedKey) -> None:
    key = issued.record
    sys.stderr.write(f"key {key.id} of {key.subject}, {_narrowed(key)}, until {key.expires_at:%Y-%m-%d}; shown once:\n")
    print(issued.secret)


def _state(key: KeyRecord, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    return f"{'expired' if now >= key.expires_at else 'until'} {key.expires_at:%Y-%m-%d}"


def _narrowed(key: KeyRecord) -> str:
    return f"{','.join(sorted(key.roles)) or 'no role'} {' '.join(sorted(key.scopes))}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "maestro-auth",
        description="Users and API keys of a store in a file.",
        epilog="exit codes: 0 done, 1 could not be done, 2 wrong words",
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")

    def word(name: str, run: object, text: str) -> argparse.ArgumentParser:
        found = words.add_parser(name, help=text, description=text)
        found.add_argument("--store", type=Path, required=True, metavar="PATH", help="the file of the store")
        found.add_argument(
            "--pepper-file", type=Path, metavar="PATH", help="what the service hashes secrets with, if any"
        )
        found.set_defaults(run=run)
        return found

    init = word("init-admin", _init_admin, "Make the first admin, and print an API key once.")
    init.add_argument("--name", default=ADMIN, help="the admin's name (admin)")
    init.add_argument("--again", action="store_true", help="also when there is an admin already")
    for name, run, text in (
        ("add-user", _add_user, "Make a user."),
        ("set-roles", _set_roles, "Give a user these roles and no others."),
    ):
        user = word(name, run, text)
        user.add_argument("name")
        user.add_argument("--role", action="append", default=[], help="one of the roles; may be repeated")
    issue = word("issue-key", _issue_key, "Make an API key for a user, and print it once.")
    issue.add_argument("name")
    issue.add_argument("--role", action="append", help="one of the user's roles; may be repeated (all of them)")
    issue.add_argument("--scope", action="append", help="noun:verb, noun:* or *; may be repeated (*)")
    issue.add_argument("--label", default="", help="what the key is for")
    issue.add_argument("--days", type=float, default=90.0, help="how long it lives (90)")
    word("list-keys", _list_keys, "List keys, without their secrets.").add_argument(
        "name", nargs="?", help="of one user"
    )
    word("revoke-key", _revoke_key, "End a key now.").add_argument("id")
    rotate = word(
        "rotate-key", _rotate_key, "Make a key's successor, and print it once; the old one ends after a while."
    )
    rotate.add_argument("id")
    rotate.add_argument("--overlap-hours", type=float, default=1.0, help="how long the old one lives on (1)")
    return parser
