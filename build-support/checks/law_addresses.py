"""Law: no file names the host of a package registry or a place of one machine: whoever installs says from where."""

import re
from pathlib import Path

from repository import at, files, text_of

# Written in pieces, so that this file keeps its own law.
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("debian", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
    )
)
_HOST = re.compile("|".join(re.escape(host) for host in HOSTS) + r"(?![\w-])", re.IGNORECASE)
# At the start of a path only: `tmp/work/` and `{index}/root/pypi`, the standard index of devpi, are something else.
_PLACE = re.compile(r"(?<![\w.}$-])/(?:" + "|".join(("work" + "/", "root" + "/(?!pypi)", "tmp" + r"/m(?![\w-])")) + ")")


def offences(root: Path) -> list[str]:
    """Every line that names such a host or place."""
    found = []
    for path in files(root):
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if host := _HOST.search(line):
                found.append(f"{at(root, path, number)}: names the registry {host[0]}; an index is configured outside")
            if place := _PLACE.search(line):
                found.append(
                    f"{at(root, path, number)}: names {place[0]}, a place of this machine; name one that is anywhere"
                )
    return found
