"""Writes files whole or not at all, and over nothing that is there unless that is wanted."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from maestro_cli._errors import BadUsage, CliError


@contextmanager
def new_file(path: Path, *, force: bool = False, mode: int = 0o600) -> Iterator[IO[bytes]]:
    """A file that is there under its name once the block has ended well, and else leaves nothing behind.

    Raises BadUsage when there is one of this name already, unless `force` is given; CliError when it cannot be written.
    """
    left_over: list[str | Path] = []
    try:
        if not force:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))  # nobody else can take the name
            left_over.append(path)
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=".maestro-")
        left_over.append(part)
        with os.fdopen(descriptor, "wb") as writing:
            yield writing
            writing.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, mode)
        os.replace(part, path)
        left_over.clear()
    except FileExistsError as error:
        raise BadUsage(f"{path} is there already; --force writes over it") from error
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        for each in left_over:
            os.unlink(each)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that everybody may read, over what is there; raises CliError."""
    with new_file(path, force=True, mode=0o644) as writing:
        writing.write(content)
