"""A bare install works with the standard library alone, and says which extra is missing."""

import os
import subprocess
import sys

import pytest

from kit.processes import import_path

EXTRAS = {
    "fastapi": ["fastapi", "starlette"],
    "oidc": ["httpx2", "joserfc"],
    "passwords": ["argon2"],
    "tokens": ["joserfc"],
}
OUTSIDE = sorted({module for modules in EXTRAS.values() for module in modules} | {"cryptography", "pydantic"})

# Issues and verifies a key, refreshes a token and decides, without any module from outside.
BARE = """
import asyncio, sys
import maestro_core_auth, maestro_core_auth.testing
from maestro_core_auth import ApiKeys, Policy, RefreshTokens, Role, SqliteAuthStore, Users

async def main():
    async with SqliteAuthStore(sys.argv[1]) as store:
        await Users(store).add("ada", {"viewer"})
        principal = await ApiKeys(store).verify((await ApiKeys(store).issue("ada")).secret)
        assert Policy(["a:b"], {"viewer": Role(("a:*",))}).decide(principal, "a:b").allowed
        refresh = RefreshTokens(store)
        await refresh.exchange((await refresh.start("ada")).token)

asyncio.run(main())
import maestro_core_auth._command
print("done")
"""


def run(program: str, *words: str, blocked: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python that finds none of these modules."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", block + program, *words],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_keys_roles_and_the_store_need_nothing_from_outside(tmp_path: object) -> None:
    ran = run(BARE, f"{tmp_path}/auth.db", blocked=OUTSIDE)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "done", "")


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_door_without_its_extra_says_how_to_get_it(extra: str) -> None:
    for missing in EXTRAS[extra]:
        ran = run(f"import maestro_core_auth.{extra}", blocked=[missing])
        assert ran.returncode == 1
        wanted = f"ImportError: maestro_core_auth.{extra} needs the extra: pip install 'maestro-core-auth[{extra}]'"
        assert ran.stderr.strip().splitlines()[-1] == wanted


def test_the_bare_import_brings_nothing_heavy() -> None:
    """None of the extras' modules, nor what is only needed by commands and tests."""
    heavy = [*OUTSIDE, "argparse", "http.client", "urllib.request", "maestro_core_auth.testing"]
    program = f"import maestro_core_auth\nprint([name for name in {heavy!r} if name in sys.modules])"
    ran = run(program, blocked=[])
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")
