"""Tells about a git repository, as JSON: its top folders, its largest files, the lines below one folder."""

import argparse
import json
import subprocess
from collections import Counter
from pathlib import Path

LANGUAGES = {
    ".c": "C", ".cc": "C++", ".cpp": "C++", ".cs": "C#", ".css": "CSS", ".go": "Go", ".h": "C", ".html": "HTML",
    ".ini": "INI", ".java": "Java", ".js": "JavaScript", ".json": "JSON", ".jsx": "JavaScript", ".kt": "Kotlin",
    ".lock": "Lock files", ".md": "Markdown", ".php": "PHP", ".py": "Python", ".rb": "Ruby", ".rs": "Rust",
    ".rst": "reStructuredText", ".scala": "Scala", ".sh": "Shell", ".sql": "SQL", ".svg": "SVG", ".toml": "TOML",
    ".ts": "TypeScript", ".tsx": "TypeScript", ".txt": "Text", ".yaml": "YAML", ".yml": "YAML",
}  # fmt: skip


def kept_files(root, folder="."):
    """Paths that git keeps below a folder, relative to the root; deleted ones and links are left out."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--", folder]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8", "surrogateescape")
    paths = (Path(name) for name in listed.split("\0") if name)
    return [path for path in paths if (root / path).is_file() and not (root / path).is_symlink()]


def top_folders(root):
    """The folders directly below the root that hold files, and `.` when files lie in the root itself."""
    return sorted({path.parts[0] if len(path.parts) > 1 else "." for path in kept_files(root)})


def largest_files(root, limit):
    """The largest files, largest first."""
    sizes = sorted(((root / path).stat().st_size, path.as_posix()) for path in kept_files(root))
    return [{"path": path, "size_bytes": size} for size, path in reversed(sizes[-limit:])]


def count_lines(root, folder):
    """Files and lines by language below one folder; `.` counts only the files that lie in the root itself."""
    files, lines = Counter(), Counter()
    for path in kept_files(root, folder):
        if folder != "." or len(path.parts) == 1:
            content = (root / path).read_bytes()
            language = LANGUAGES.get(path.suffix.lower(), "Other")
            files[language] += 1
            lines[language] += 0 if b"\0" in content[:8192] else len(content.splitlines())
    languages = {name: {"files": files[name], "lines": lines[name]} for name in sorted(files)}
    return {"folder": folder, "files": sum(files.values()), "lines": sum(lines.values()), "languages": languages}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    questions = parser.add_subparsers(dest="question", required=True)
    questions.add_parser("top-folders")
    questions.add_parser("largest-files").add_argument("--limit", type=int, required=True)
    questions.add_parser("count-lines").add_argument("--folder", required=True)
    options = parser.parse_args()
    if options.question == "top-folders":
        answer = top_folders(options.root)
    elif options.question == "largest-files":
        answer = largest_files(options.root, options.limit)
    else:
        answer = count_lines(options.root, options.folder)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
