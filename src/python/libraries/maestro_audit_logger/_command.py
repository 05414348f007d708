"""The command `maestro-audit`."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maestro_audit_logger._entry import Entry
from maestro_audit_logger._errors import AuditError, InvalidNote, InvalidProof, InvalidSetup, NotInLog
from maestro_audit_logger._export import export
from maestro_audit_logger._log import AuditLog
from maestro_audit_logger._reader import AuditReader
from maestro_audit_logger._screen import show_entries
from maestro_audit_logger._signer import HmacSigner, Signer
from maestro_audit_logger._standalone import standalone_verifier
from maestro_audit_logger._verify import add_verify_arguments, read_keys, run_verify
from maestro_audit_logger._witness import read_checkpoints, witness

NOT_SOUND, FAILED = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 done or sound, 1 not sound, 2 could not be done."""
    asked = _parser().parse_args(arguments)
    try:
        code: int = asked.run(asked)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has seen enough, as `head` does. What Python flushes at its end must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (AuditError, OSError, UnicodeDecodeError) as error:
        print(f"maestro-audit: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-audit",
        description="Read, verify and look after audit logs.",
        epilog="exit codes: 0 done or sound, 1 not sound, 2 could not be done",
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")

    def word(
        name: str, run: Callable[[argparse.Namespace], int], help: str, *, log: bool = True
    ) -> argparse.ArgumentParser:
        added = words.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(run=run)
        if log:
            added.add_argument("log", type=Path, help="the folder of the log")
        return added

    add_verify_arguments(word("verify", run_verify, "verify a log or a proof", log=False))
    word("verifier", _verifier, "print the verifier as one Python file that needs nothing else", log=False)
    shown = word("show", _show, "show entries, the newest last")
    _add_query(shown)
    shown.add_argument("--last", type=int, default=20, metavar="N", help="how many of the newest to show (default 20)")
    exported = word("export", _export, "write entries to standard output")
    _add_query(exported)
    exported.add_argument("--format", choices=["jsonl", "csv", "cef"], default="jsonl", help="default jsonl")
    proved = word("prove", _prove, "print the proof that an entry is in the log (c2sp.org/tlog-proof)")
    proved.add_argument("seq", type=int, help="the number of the entry")
    consistent = word("consistency", _consistency, "print the proof that the log continues an older checkpoint")
    consistent.add_argument("checkpoint", type=Path, help="a file whose last checkpoint is the older one")
    word("checkpoint", _checkpoint, "print the newest checkpoint")
    witnessed = word(
        "witness", _witness, "add the newest checkpoint to a file kept elsewhere, if it continues the last"
    )
    witnessed.add_argument("file", type=Path, help="the file of checkpoints, in a Git repository for instance")
    witnessed.add_argument("--key", type=Path, metavar="FILE", help="trusted keys, one a line: name+hash+base64")
    erased = word("erase", _erase, "destroy the key of a subject, so that the subject's personal values are gone")
    erased.add_argument("subject", help="the subject, as it was given to append")
    _add_signer(erased)
    retained = word("retain", _retain, "remove the oldest segments that hold nothing newer than so many days")
    retained.add_argument("--days", type=float, required=True, help="how long entries are kept at least")
    _add_signer(retained)
    return parser


def _add_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", type=_time, metavar="TIME", help="not before this time, as 2026-11-21T15:00Z")
    parser.add_argument("--until", type=_time, metavar="TIME", help="before this time")
    for name in ("actor", "action", "object", "outcome"):
        parser.add_argument(f"--{name}", help=f"only this {name}")
    parser.add_argument("--reveal", action="store_true", help="show personal values that are not erased")


def _add_signer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sign-ed25519", nargs=2, metavar=("NAME", "PEM_FILE"), help="sign as NAME (extra `signing`)")
    parser.add_argument("--sign-hmac", type=Path, metavar="KEY_FILE", help="sign with a key name+hash+base64")


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-11-21T15:00Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _signer(asked: argparse.Namespace) -> Signer | None:
    if asked.sign_ed25519:
        from maestro_audit_logger.signing import Ed25519Signer

        name, path = asked.sign_ed25519
        return Ed25519Signer.from_pem(name, Path(path).read_bytes())
    if asked.sign_hmac:
        (key,) = read_keys(asked.sign_hmac)[:1]
        return HmacSigner(key.name, key.material)
    return None


def _writing(asked: argparse.Namespace) -> AuditLog:
    return AuditLog(asked.log, origin=AuditReader(asked.log).origin, signer=_signer(asked))


def _verifier(asked: argparse.Namespace) -> int:
    print(standalone_verifier(), end="")
    return 0


def _query(asked: argparse.Namespace, reader: AuditReader, *, last: int | None = None) -> Iterator[Entry]:
    return reader.query(
        since=asked.since,
        until=asked.until,
        actor=asked.actor,
        action=asked.action,
        object=asked.object,
        outcome=asked.outcome,
        newest_first=last is not None,
        limit=last,
    )


def _show(asked: argparse.Namespace) -> int:
    reader = AuditReader(asked.log)
    entries = list(_query(asked, reader, last=asked.last))[::-1]
    show_entries(entries, reader.reveal if asked.reveal else reader.conceal)
    return 0


def _export(asked: argparse.Namespace) -> int:
    reader = AuditReader(asked.log)
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]  # it is a text file in a process
    for line in export(_query(asked, reader), asked.format, reader.reveal if asked.reveal else reader.conceal):
        sys.stdout.write(line)
    return 0


def _prove(asked: argparse.Namespace) -> int:
    print(AuditReader(asked.log).prove_inclusion(asked.seq).text(), end="")
    return 0


def _consistency(asked: argparse.Namespace) -> int:
    known = read_checkpoints(asked.checkpoint)
    if not known:
        raise InvalidSetup(f"{asked.checkpoint} holds no checkpoint")
    print(AuditReader(asked.log).prove_consistency(known[-1]).text(), end="")
    return 0


def _checkpoint(asked: argparse.Namespace) -> int:
    print(AuditReader(asked.log).last_checkpoint().note, end="")
    return 0


def _witness(asked: argparse.Namespace) -> int:
    try:
        taken = witness(AuditReader(asked.log), asked.file, read_keys(asked.key))
    except (InvalidProof, InvalidNote, NotInLog) as error:
        print(f"NOT WITNESSED: {error}", file=sys.stderr)
        return NOT_SOUND
    print(f"{asked.file}: {'nothing new' if taken is None else f'took the checkpoint of {taken.size:,} entries'}")
    return 0


def _erase(asked: argparse.Namespace) -> int:
    with _writing(asked) as log:
        destroyed = log.erase(asked.subject)
    print("the key is destroyed" if destroyed else "there was no key of that subject")
    return 0


def _retain(asked: argparse.Namespace) -> int:
    if not 0 <= asked.days <= 365_000:
        raise InvalidSetup(f"--days: {asked.days} is not between 0 and 365,000")
    with _writing(asked) as log:
        removal = log.retain(since=datetime.now(UTC) - timedelta(days=asked.days))
    if removal is None:
        print("no segment is that old")
    else:
        segments = "one segment" if removal.segments == 1 else f"{removal.segments} segments"
        print(f"removed entries {removal.first:,} to {removal.end - 1:,} in {segments}")
    return 0
