"""Law: files are short unless they say why not, and nothing below src is called after nothing."""

import re
from pathlib import Path

from repository import at, files_below, text_of

MAX_LINES = {".py": 400, ".ts": 250, ".tsx": 250}
_FIRST_LINES = 10
# What two rooms need is a noun of its own, or belongs to the lower of the two, or is copied.
_NOT_NOUNS = {"common", "util", "utils", "helper", "helpers"}


def offences(root: Path) -> list[str]:
    """Files over the limit without a reason in their first lines; folders and modules with a name that says nothing."""
    found = []
    for folder in ("src", "build-support"):
        for path in files_below(root / folder):
            lines, limit = text_of(path).splitlines(), MAX_LINES.get(path.suffix)
            mark = "#" if path.suffix == ".py" else "//"
            reasons = [line for line in lines[:_FIRST_LINES] if re.match(rf"{mark} long file: \S", line)]
            if limit and len(lines) > limit and not reasons:
                found.append(
                    f"{at(root, path, limit + 1)}: {len(lines)} lines, and {limit} are the limit; "
                    f"split it, or say why not in its first lines: `{mark} long file: <reason>`"
                )
    for path in files_below(root / "src"):
        for part in path.relative_to(root / "src").with_suffix("").parts:
            if part.strip("_").lower() in _NOT_NOUNS:
                found.append(
                    f"{at(root, path)}: {part!r} is no noun of ours; name it after what it owns, or put it there"
                )
    return found
