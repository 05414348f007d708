"""Law: what we did not write is listed as ranges, granted by name, and locked with hashes within those ranges."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement  # pants: no-infer-dep (pytest brings it)
from packaging.utils import canonicalize_name  # pants: no-infer-dep (pytest brings it)
from repository import at, build_calls, text_of, wheels

_LISTS = "3rdparty/python"
# Pants and the tool that it runs on are pinned on purpose: another version of either is another tool (decision 0001).
_PINNED_LISTS = "build-support/pants"
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[\w,-]+\])?==(?P<version>[^\s;\\]+)(\s*;[^\\]+)?( \\)?")
_HASH = re.compile(r"\s+--hash=sha256:[0-9a-f]{64}( \\)?")


def offences(root: Path) -> list[str]:
    """What is wrong with lists, locks and grants."""
    found = _resolves(root)
    for folder in (_LISTS, _PINNED_LISTS):
        for listing in sorted((root / folder).glob("*.txt")):
            requirements = dict(_requirements(listing))
            if folder == _LISTS:
                found += _not_ranges(root, listing, requirements)
            found += _against_lock(root, listing, requirements)
    return found + _grants(root)


def _requirements(listing: Path) -> Iterator[tuple[int, Requirement | str]]:
    """Each line that asks for something, with its number; a string is what cannot be read."""
    for number, line in enumerate(text_of(listing).splitlines(), 1):
        asked = line.partition("#")[0].strip()
        if asked:
            try:
                yield number, Requirement(asked)
            except InvalidRequirement:
                yield number, asked


def _not_ranges(root: Path, listing: Path, requirements: dict[int, Requirement | str]) -> list[str]:
    found = []
    for number, asked in requirements.items():
        place = at(root, listing, number)
        if isinstance(asked, str):
            found.append(
                f"{place}: `{asked}` is no requirement; one name with a range a line, no options and no addresses"
            )
        elif asked.url or any(part.operator in ("==", "===") for part in asked.specifier):
            found.append(f"{place}: `{asked}` is pinned; write a range, the lock holds the exact version")
        elif not any(part.operator in (">=", ">", "~=") for part in asked.specifier):
            found.append(f"{place}: `{asked}` has no lower bound; write a range, as `{asked.name}>=1.2,<2`")
    return found


@dataclass(slots=True)
class _Locked:
    """One entry of a lock; a universal lock may hold a name more than once, each for other machines."""

    name: str
    version: str
    line: int
    hashes: int = field(default=0)


def _lock(root: Path, lock: Path) -> tuple[list[_Locked], list[str]]:
    entries: list[_Locked] = []
    found = []
    for number, line in enumerate(text_of(lock).splitlines(), 1):
        if _HASH.fullmatch(line) and entries:
            entries[-1].hashes += 1
        elif entry := _ENTRY.fullmatch(line):
            entries.append(_Locked(canonicalize_name(entry["name"]), entry["version"], number))
        elif line.strip() and (not line.startswith("#") or "://" in line):
            found.append(f"{at(root, lock, number)}: `{line.strip()}` is neither `name==version` nor a hash")
    found += [
        f"{at(root, lock, entry.line)}: {entry.name} has no hash; run `build-support/bin/lock {lock.stem}`"
        for entry in entries
        if not entry.hashes
    ]
    return entries, found


def _against_lock(root: Path, listing: Path, requirements: dict[int, Requirement | str]) -> list[str]:
    lock = listing.with_suffix(".lock")
    if not lock.is_file():
        return [f"{at(root, lock)}: missing; make it with `build-support/bin/lock {listing.stem}`"]
    entries, found = _lock(root, lock)
    renew = f"run `build-support/bin/lock {listing.stem}`"
    for number, asked in requirements.items():
        if isinstance(asked, str):
            continue
        locked = [entry for entry in entries if entry.name == canonicalize_name(asked.name)]
        if not locked:
            found.append(f"{at(root, listing, number)}: {asked.name} is not in {at(root, lock)}; {renew}")
        for entry in locked:
            if not asked.specifier.contains(entry.version, prereleases=True):
                place = at(root, lock, entry.line)
                found.append(f"{place}: {entry.name} {entry.version} is outside `{asked.specifier}`; {renew}")
    return found


def _resolves(root: Path) -> list[str]:
    """A resolve of pants.toml without its lock or list; a lock without a list, which nobody can renew."""
    config = tomllib.loads(text_of(root / "pants.toml"))
    named = [root / lock for lock in config.get("python", {}).get("resolves", {}).values()]
    locks = {*named, *(root / _LISTS).glob("*.lock"), *(root / _PINNED_LISTS).glob("*.lock")}
    return [
        f"{at(root, lock.with_suffix('.txt'))}: missing; write the list of which {at(root, lock)} is the lock"
        for lock in sorted(locks)
        if not lock.with_suffix(".txt").is_file()
    ]


def _grants(root: Path) -> list[str]:
    """Pants knows a distribution by the name in its list, so the names are compared as they are written."""
    build = root / _LISTS / "BUILD"
    there = {wheel.import_name for wheel in wheels(root)}
    calls = [call for call in build_calls(build) if call.function == "who_may_use"] if build.is_file() else []
    if not calls:
        return [
            f"{at(root, build)}: missing, or never calls who_may_use(); say there who may import what we did not write"
        ]
    found = []
    for call in calls:
        resolve, grants = call.args
        assert isinstance(grants, dict), f"{build}:{call.line}: who_may_use(resolve, {{distribution: [wheels]}})"
        listing, place = root / _LISTS / f"{resolve}.txt", at(root, build, call.line)
        listed = {asked.name: number for number, asked in _requirements(listing) if isinstance(asked, Requirement)}
        for name in sorted(listed.keys() - grants.keys()):
            found.append(
                f"{at(root, listing, listed[name])}: {name} is not in the grants of {place}; say who may use it"
            )
        for name in sorted(grants.keys() - listed.keys()):
            found.append(f"{place}: grants {name}, which is not in {at(root, listing)}; list it, or take the grant out")
        for wheel in sorted({wheel for users in grants.values() for wheel in users} - there):
            found.append(f"{place}: grants something to {wheel}, and there is no such wheel")
    return found
