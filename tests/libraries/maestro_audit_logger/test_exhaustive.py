"""Every single-bit change and every truncation of small logs is found, with a checkpoint that was kept elsewhere.

What is changed: every file that a verdict rests on: FORMAT, checkpoint, removed.json, and the segments. Not among these
are `index/`, which is made again from the segments where it is missing (changes of it are found too: see below),
`keys/`, which no proof needs, and `writer.lock`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import ORIGIN, check, make_log, open_log

from maestro_audit_logger import Checkpoint, InvalidSetup, check_log
from maestro_audit_logger.signing import Ed25519Signer
from maestro_audit_logger.testing import ManualClock


def found(folder: Path, outside: Checkpoint) -> bool:
    """Whether the check says that something is wrong; a FORMAT of another version is refused outright."""
    try:
        return not check(folder, [outside]).sound
    except InvalidSetup:
        return True


def judged_files(folder: Path) -> list[Path]:
    """The files that a verdict rests on."""
    files = [folder / "FORMAT", folder / "checkpoint", folder / "removed.json", *(folder / "segments").iterdir()]
    return sorted(path for path in files if path.exists())


def bit_flips(path: Path) -> Iterator[str]:
    """Change each bit of a file in its turn, and put it right after."""
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(whole)):
            place = bit // 8
            os.pwrite(file.fileno(), bytes([whole[place] ^ 1 << bit % 8]), place)
            yield f"bit {bit} of {path.name}"
            os.pwrite(file.fileno(), whole[place : place + 1], place)


def truncations(path: Path) -> Iterator[str]:
    """Cut a file at each length that is not its own."""
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        yield f"{path.name} cut to {size} bytes"
    path.write_bytes(whole)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_every_bit_and_every_length(tmp_path: Path, count: int) -> None:
    """Logs of 0 to 5 entries in up to two segments: no flip and no cut goes unfound, and unchanged they are sound."""
    outside = make_log(tmp_path / "log", count, at_once=3, segment_bytes=300)
    assert len(list((tmp_path / "log/segments").iterdir())) == (2 if count > 3 else 1)
    assert check(tmp_path / "log", [outside]).sound
    missed = [
        what
        for path in judged_files(tmp_path / "log")
        for change in (bit_flips, truncations)
        for what in change(path)
        if not found(tmp_path / "log", outside)
    ]
    assert missed == []
    assert check(tmp_path / "log", [outside]).sound


def test_every_bit_and_every_length_after_retention(tmp_path: Path) -> None:
    """The same where the first segment has been removed, so that removed.json stands for it."""
    make_log(tmp_path / "log", 5, at_once=3, segment_bytes=300)
    clock = ManualClock()
    with open_log(tmp_path / "log", clock=clock) as log:
        assert log.retain(since=clock.at.replace(year=2027)) is not None
        outside = log.checkpoint()
    assert (tmp_path / "log/removed.json").exists()
    assert check(tmp_path / "log", [outside]).sound
    missed = [
        what
        for path in judged_files(tmp_path / "log")
        for change in (bit_flips, truncations)
        for what in change(path)
        if not found(tmp_path / "log", outside)
    ]
    assert missed == []


def test_every_bit_of_an_ed25519_checkpoint(tmp_path: Path) -> None:
    """No bit of a checkpoint by Ed25519 can be turned, also none in the padding of its base64."""
    signer = Ed25519Signer.generate(ORIGIN)
    make_log(tmp_path / "log", 2, signer=signer)
    folder = tmp_path / "log"
    assert check_log(folder, keys=[signer.note_key]).sound
    for what in bit_flips(folder / "checkpoint"):
        assert not check_log(folder, keys=[signer.note_key]).sound, what
