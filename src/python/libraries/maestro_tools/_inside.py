"""Files that a workflow may name: those below its own folder."""

from __future__ import annotations

from pathlib import Path


def inside(base_dir: Path, path: str) -> Path:
    """A path below `base_dir`, links followed. Raises ValueError when it leads out of there, or is no plain file."""
    root = base_dir.resolve()
    found = (root / path).resolve()
    if not found.is_relative_to(root):
        raise ValueError(f"{path!r} leads out of the folder {str(root)!r}")
    if not found.is_file():
        raise ValueError(f"there is no file {path!r} in {str(root)!r}")
    return found
