"""Law: links in Markdown lead somewhere, CI runs the README's two commands, decision records are numbered and short."""

import re
from pathlib import Path
from urllib.parse import unquote

from repository import at, files, outside_fences, text_of

_CODE_SPAN = re.compile(r"(`+).*?\1")
_LINK = re.compile(r"\]\(\s*<?(?P<target>[^\s<>)]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s+<?(?P<defined>[^\s<>]+)>?")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)
_RECORD = re.compile(r"(?P<number>\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md")
MAX_RECORD_LINES = 60


def offences(root: Path) -> list[str]:
    """What is wrong with the documents."""
    documents = [path for path in files(root) if path.suffix == ".md"]
    return [
        *(offence for path in documents for offence in _broken_links(root, path)),
        *_commands(root),
        *_records(root),
    ]


def _broken_links(root: Path, document: Path) -> list[str]:
    found = []
    for number, line in outside_fences(text_of(document)):
        for link in _LINK.finditer(_CODE_SPAN.sub("", line)):
            target = link["target"] or link["defined"]
            if _ELSEWHERE.match(target):
                continue
            name, _, anchor = unquote(target).partition("#")
            start = root if name.startswith("/") else document.parent
            path = start / name.lstrip("/") if name else document
            place = at(root, document, number)
            if not path.exists():
                found.append(f"{place}: the link {target} leads nowhere; mend it")
            elif anchor and path.suffix == ".md" and anchor.lower() not in _anchors(path):
                found.append(f"{place}: {target} names a heading that is not there; mend it")
    return found


def _anchors(document: Path) -> set[str]:
    """The headings of a document, as the places that a link can name."""
    headings = [line.lstrip("#").strip() for _, line in outside_fences(text_of(document)) if re.match("#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def _commands(root: Path) -> list[str]:
    """The README promises two commands; CI runs the very same words."""
    readme, run = root / "README.md", root / ".ci/run"
    opening = re.split("^## ", text_of(readme), maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line.strip().removeprefix("$ ") for line in opening.splitlines()]
    commands = [line.partition(" #")[0].strip() for line in lines if line.startswith("./pants ")]
    if len(commands) != 2:
        return [f"{at(root, readme)}: opens with {len(commands)} ./pants commands; two do everything"]
    called = "\n".join(line for line in text_of(run).splitlines() if not line.lstrip().startswith("#"))
    return [
        f"{at(root, run)}: missing, or does not call `{command}`, as README.md does; CI runs what we tell people to run"
        for command in commands
        if not re.search(re.escape(command) + r"(?![\w/.:-])", called)
    ]


def _records(root: Path) -> list[str]:
    found, before = [], 0
    for path in sorted((root / "docs/decisions").glob("*.md")):
        if path.name == "README.md":
            continue
        record = _RECORD.fullmatch(path.name)
        if not record:
            found.append(f"{at(root, path)}: a decision record is called NNNN-what-was-decided.md; rename it")
            continue
        number = int(record["number"])
        if number != before + 1:
            found.append(f"{at(root, path)}: is number {number:04} where {before + 1:04} comes next; renumber it")
        before = number
        length = len(text_of(path).splitlines())
        if length >= MAX_RECORD_LINES:
            found.append(
                f"{at(root, path)}: has {length} lines; keep it under {MAX_RECORD_LINES}, the rest belongs in a guide"
            )
    return found
