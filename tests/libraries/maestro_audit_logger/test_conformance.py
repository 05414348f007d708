"""The suites and fakes of `testing`, run against what this package brings itself."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import ORIGIN, SIGNER, open_log

from maestro_audit_logger import AuditLog, Event, Signer
from maestro_audit_logger.signing import Ed25519Signer
from maestro_audit_logger.testing import AuditSink, AuditSinkConformance, RecordedAudit, SignerConformance

PEM = Ed25519Signer.generate(ORIGIN).to_pem()


class TestHmacSigner(SignerConformance):
    """The signer of the standard library."""

    def make_signer(self) -> Signer:
        return SIGNER


class TestEd25519Signer(SignerConformance):
    """The signer of the extra."""

    def make_signer(self) -> Signer:
        return Ed25519Signer.from_pem(ORIGIN, PEM)


class TestRecordedAudit(AuditSinkConformance):
    """The fake."""

    def make_audit(self) -> AuditSink:
        return RecordedAudit()


class TestAuditLog(AuditSinkConformance):
    """The real one."""

    log: AuditLog

    @pytest.fixture(autouse=True)
    def _opened(self, tmp_path: Path) -> Iterator[None]:
        with open_log(tmp_path / "log") as self.log:
            yield

    def make_audit(self) -> AuditSink:
        return self.log


def test_the_fake_keeps_what_was_appended() -> None:
    """Events are there to be compared, from threads and tasks alike."""
    audit = RecordedAudit()
    audit.append(actor="u", action="a", object="o", details={"n": 1})
    asyncio.run(audit.aappend(actor="u", action="b", object="o"))
    assert audit.events == [Event("u", "a", "o", details={"n": 1}), Event("u", "b", "o")]
