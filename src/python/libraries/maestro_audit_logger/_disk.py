"""All that the writer asks of the disk, in one place, so that tests can let each of it fail."""

import os
from pathlib import Path


class Disk:
    """The real disk; files are 0600 and folders 0700."""

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, durably."""
        if not path.is_dir():
            self.make_folder(path.parent)
            path.mkdir(mode=0o700, exist_ok=True)
            self.sync_folder(path.parent)

    def open(self, path: Path) -> int:
        """Open for appending, making the file where there is none."""
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, file: int, data: bytes) -> None:
        """Append all of the data."""
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def truncate(self, file: int, size_bytes: int) -> None:
        """Cut the file off."""
        os.ftruncate(file, size_bytes)

    def sync(self, file: int) -> None:
        """Wait until the file's data is on the disk."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Let go of the file."""
        os.close(file)

    def replace(self, path: Path, data: bytes) -> None:
        """Put a whole file in place of another: at any moment there is the old one or the new one.

        Which of the two a power cut leaves is settled by `sync_folder`.
        """
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        file = self.open(fresh)
        try:
            self.write(file, data)
            self.sync(file)
        finally:
            self.close(file)
        os.replace(fresh, path)

    def overwrite(self, path: Path, data: bytes) -> None:
        """Write over the first bytes of a file where they lie, and wait until the disk has them."""
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self.write(file, data)
            self.sync(file)
        finally:
            self.close(file)

    def remove(self, path: Path) -> None:
        """Remove a file, durably."""
        path.unlink(missing_ok=True)
        self.sync_folder(path.parent)

    def sync_folder(self, path: Path) -> None:
        """Wait until the names in a folder are on the disk."""
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(file)
        finally:
            os.close(file)
