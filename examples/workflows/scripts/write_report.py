"""Writes the report on a repository as Markdown, from what the steps before it found, as JSON on standard input."""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path, PurePath

COMMIT = re.compile(r"^Commit: (\S+)\nAuthor: (.*)\nDate: (\S+).*\nMessage: (.*)", re.MULTILINE)


def commits_in(log):
    """(hash, author, day, subject) of each commit in the answer of `git_log`."""
    return [(found[1][:9], found[2], found[3], found[4].strip()) for found in COMMIT.finditer(log)]


def table(head, rows):
    """A Markdown table; every column but the first holds numbers."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def report(facts):
    """The whole report."""
    commits = commits_in(facts["log"])
    files, lines = Counter(), Counter()
    counted = [each["stdout"] for each in facts["folders"]]
    for folder in counted:
        for language, count in folder["languages"].items():
            files[language] += count["files"]
            lines[language] += count["lines"]
    languages = sorted(files, key=lambda name: (-lines[name], name))
    folders = sorted(counted, key=lambda each: (-each["lines"], each["folder"]))
    authors = Counter(author for _, author, _, _ in commits)
    served = facts["served"]
    parts = [
        f"# {PurePath(facts['name']).name}",
        f"{sum(files.values())} files · {sum(lines.values())} lines · branch {facts['branch'] or '(none)'}",
        "## Languages",
        table(["Language", "Files", "Lines"], [[name, files[name], lines[name]] for name in languages]),
        "## Folders",
        table(["Folder", "Files", "Lines"], [[each["folder"], each["files"], each["lines"]] for each in folders]),
        "## Largest files",
        table(["File", "Bytes"], [[each["path"], each["size_bytes"]] for each in facts["largest"]]),
        f"## Authors of the last {len(commits)} commits",
        table(["Author", "Commits"], authors.most_common()),
        f"## Last {len(commits)} commits",
        "\n".join(f"- `{short}` {day} {subject} ({author})" for short, author, day, subject in commits),
        "## Served over HTTP",
        f"`{served['path']}` answered {served['status']} with {served['characters']} characters, "
        f"in {served['requests']} request{'' if served['requests'] == 1 else 's'}.",
    ]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    facts = json.load(sys.stdin)
    options.output.write_text(report(facts), encoding="utf-8")
    totals = {name: sum(folder["stdout"][name] for folder in facts["folders"]) for name in ("files", "lines")}
    print(json.dumps({"commits": len(commits_in(facts["log"])), **totals}))


if __name__ == "__main__":
    main()
