"""Entries taken out, doubled, swapped, rolled back, forked or hidden; and lines that are none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import KEYS, check, event, make_log, open_log

from maestro_audit_logger import LogDamaged, check_log
from maestro_audit_logger._blocks import Block


def test_every_entry_deleted_doubled_or_swapped(tmp_path: Path) -> None:
    """Entries taken out, written twice, or exchanged, within a segment and across two, are found."""
    folder = tmp_path / "log"
    outside = make_log(folder, 6, at_once=3, segment_bytes=300)
    paths = sorted((folder / "segments").iterdir())
    wholes = [path.read_bytes() for path in paths]
    lines = [line for whole in wholes for line in whole.splitlines(keepends=True)]
    middle = len(wholes[0].splitlines())
    for changed in rearranged(lines):
        for cut in {middle, min(middle, len(changed)), max(0, len(changed) - middle)}:
            paths[0].write_bytes(b"".join(changed[:cut]))
            paths[1].write_bytes(b"".join(changed[cut:]))
            assert not check(folder, [outside]).sound, (changed, cut)


def rearranged(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Every way to delete, double or swap."""
    for place in range(len(lines)):
        yield lines[:place] + lines[place + 1 :]
        yield lines[: place + 1] + lines[place:]
        for other in range(place):
            swapped = list(lines)
            swapped[place], swapped[other] = swapped[other], swapped[place]
            yield swapped


@pytest.mark.parametrize("signed", [True, False])
def test_truncation_by_whole_entries(tmp_path: Path, signed: bool) -> None:
    """Dropping the last N entries, for every N, is found by the log's own checkpoint, and by one kept elsewhere."""
    folder = tmp_path / "log"
    outside = make_log(folder, 6) if signed else make_log(folder, 6, signer=None)
    (path,) = (folder / "segments").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(6):
        path.write_bytes(b"".join(lines[:kept]))
        assert not check_log(folder, keys=KEYS if signed else ()).sound
        (folder / "checkpoint").rename(folder / "hidden")
        report = check_log(folder, checkpoints=[outside])
        assert any(f"the log ends after {kept} entries" in problem for problem in report.problems)
        (folder / "hidden").rename(folder / "checkpoint")


def test_a_log_rolled_back_whole_is_found_only_from_outside(tmp_path: Path) -> None:
    """An older state with its own older checkpoint looks sound by itself, as README says; a witness sees through it."""
    make_log(tmp_path / "log", 3)
    older = {path: path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()}
    with open_log(tmp_path / "log") as log:
        log.append_many([event(9)])
        outside = log.checkpoint()
    for path, data in older.items():
        path.write_bytes(data)
    assert check(tmp_path / "log").sound
    assert not check(tmp_path / "log", [outside]).sound


def test_a_fork_is_found(tmp_path: Path) -> None:
    """Another history of the same length, signed with the same key, does not stand up to a checkpoint of the first."""
    outside = make_log(tmp_path / "one", 4)
    make_log(tmp_path / "other", 3)
    with open_log(tmp_path / "other") as log:
        log.append(actor="user:1", action="another", object="history")
    assert check(tmp_path / "other").sound
    report = check(tmp_path / "other", [outside])
    assert report.problems == ["entries before 4 are not those of the checkpoint of 4 kept elsewhere"]


def test_every_bit_of_an_index_line_is_found(tmp_path: Path) -> None:
    """A summary with one bit turned is not taken for a summary."""
    make_log(tmp_path / "log", 1024, at_once=1024)
    (path,) = (tmp_path / "log/index").iterdir()
    line = path.read_bytes()
    assert Block.parse(line).first == 0
    for bit in range(8 * len(line)):
        turned = bytearray(line)
        turned[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="index"):
            Block.parse(bytes(turned))


def test_a_false_summary_with_a_right_checksum_is_found(tmp_path: Path) -> None:
    """Whoever empties a filter to hide entries from queries, and mends the checksum, is found by the check."""
    outside = make_log(tmp_path / "log", 1030, at_once=103)
    (path,) = (tmp_path / "log/index").iterdir()
    block = Block.parse(path.read_bytes())
    false = Block(block.first, block.offset, block.size_bytes, block.min_at, block.max_at, block.root, (b"\0",) * 3)
    path.write_bytes(false.line())
    assert check(tmp_path / "log", [outside]).problems == ["entries 0 to 1023 do not fit their summary in the index"]


def test_a_missing_or_cut_index_is_made_again(tmp_path: Path) -> None:
    """The index is not evidence: without it, or with a part of it, the log is sound, and opening restores it."""
    outside = make_log(tmp_path / "log", 2100)
    (path,) = (tmp_path / "log/index").iterdir()
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert check(tmp_path / "log", [outside]).sound
    path.unlink()
    assert check(tmp_path / "log", [outside]).sound
    open_log(tmp_path / "log").close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n\n\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b'{"seq":2}\n',
        b"\xff\xfe\n",
        b"[" * 50_000 + b"\n",
        b"9" * 50_000 + b"\n",
        b"x" * 300_000,
        b'{"seq":2},{"seq":3}\n',
        b'{"seq":2,"action":"audit.retain","details":[]}\n',
    ],
)
def test_hostile_lines_are_told_and_break_nothing(tmp_path: Path, line: bytes) -> None:
    """Whatever stands where an entry belongs, the check ends with a finding, as does opening to write."""
    outside = make_log(tmp_path / "log", 3)
    path = tmp_path / "log/segments/0000000000000000.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]) + line)
    assert not check(tmp_path / "log", [outside]).sound
    with pytest.raises(LogDamaged):
        open_log(tmp_path / "log")


def test_half_a_line_at_the_end_of_an_earlier_segment_is_found(tmp_path: Path) -> None:
    """Only the very last segment can have been left so by a writer that died: there it is told, and no more."""
    folder = tmp_path / "log"
    outside = make_log(folder, 6, at_once=3, segment_bytes=300)
    first, *_, last = sorted((folder / "segments").iterdir())
    with last.open("ab") as file:
        file.write(b'{"torn')
    assert check(folder, [outside]).sound
    with first.open("ab") as file:
        file.write(b'{"hidden":"in plain sight"}')
    assert any(problem.startswith(f"{first.name}: the end of the file") for problem in check(folder).problems)


def test_the_name_of_a_file_does_not_write_on_the_terminal(tmp_path: Path) -> None:
    """Or it could clear the screen and say `sound` itself."""
    make_log(tmp_path / "log", 3)
    (tmp_path / "log" / "segments" / "\x1b[2J\nsound").touch()
    (problem,) = check(tmp_path / "log").problems
    assert problem.isprintable()


def test_entries_after_an_older_checkpoint_are_found_from_outside(tmp_path: Path) -> None:
    """An older checkpoint put back covers nothing of what follows: that is told, and a witness sees through it."""
    folder = tmp_path / "log"
    make_log(folder, 1)
    older = (folder / "checkpoint").read_bytes()
    with open_log(folder) as log:
        log.append_many([event(number) for number in range(1, 6)])
        outside = log.checkpoint()
    (path,) = (folder / "segments").iterdir()
    first, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"".join(line.replace(b'"actor":"', b'"actor":"not-') for line in others))
    (folder / "checkpoint").write_bytes(older)
    report = check(folder)
    assert report.covered < report.size
    assert any("are below no checkpoint that fits" in note for note in report.notes)
    assert not check(folder, [outside]).sound
