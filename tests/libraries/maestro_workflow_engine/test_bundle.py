"""Bundles: what goes out comes in again elsewhere, without what was taken out, and nothing else passes for one."""

import hashlib
import hmac
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_workflow_engine import JSON, ArtifactRef
from maestro_workflow_engine._bundle import BadBundle, Bundle, bundle_bytes, read_bundle
from maestro_workflow_engine._commands import Migrate, StepSucceeded
from maestro_workflow_engine._json import plain_copy
from maestro_workflow_engine._redaction import REDACTED, Redaction
from maestro_workflow_engine.testing import LawCase

NOW = datetime(2026, 11, 21, tzinfo=UTC)
T = {"kind": "test"}


def finished() -> LawCase:
    """A workflow with an input, outputs, and a large result."""
    case = LawCase(
        {
            "a": {**T, "with": {"password": "${{ inputs.password }}"}},
            "b": {**T, "with": {"x": "${{ steps.a.output }}"}},
        },
        inputs={"password": {"type": "string"}},
    )
    case.large = {hashlib.sha256(b'"big"').hexdigest(): "big"}
    case.start(password="hunter2-hunter2")
    reference = ArtifactRef(hashlib.sha256(b'"big"').hexdigest(), 5, "application/json")
    case.do(StepSucceeded("a", None, 1, reference))
    case.ok("b", {"said": "hunter2-hunter2 it was", "api_key": "k"})
    return case


def exported(case: LawCase, **options: object) -> bytes:
    """The bundle of a case."""
    documents = {case.definition.digest: case.definition.document}
    documents |= {digest: definition.document for digest, definition in case.known.items()}
    return bundle_bytes(case.events, documents, exported_at=NOW, **options)  # type: ignore[arg-type]  # as they are


def test_a_bundle_brings_the_whole_history_elsewhere() -> None:
    """The same state at every seq, and the law agrees with it."""
    case = finished()
    bundle = read_bundle(exported(case, artifacts=[(hashlib.sha256(b'"big"').hexdigest(), b'"big"')]))
    assert bundle.events == case.events
    assert bundle.state_at() == case.state
    assert bundle.state_at(3).seq == 3
    assert bundle.definition == case.definition
    assert bundle.exported_at == NOW
    assert bundle.replay().difference is None


def test_the_order_of_steps_is_kept() -> None:
    """The law schedules in the order of writing."""
    case = LawCase({"z": T, "a": T, "m": T})
    case.start()
    bundle = read_bundle(exported(case))
    assert list(bundle.definition.steps) == ["z", "a", "m"]
    assert bundle.replay().difference is None


def test_a_migrated_workflow_brings_both_definitions() -> None:
    """And its state folds over the migration."""
    case = LawCase({"a": T, "b": {**T, "needs": ["a"]}})
    case.start()
    case.ok("a")
    other = LawCase({"a": T, "c": {**T, "needs": ["a"]}}).definition
    case.do(Migrate(other))
    case.ok("c")
    bundle = read_bundle(exported(case))
    assert bundle.state_at() == case.state
    assert bundle.replay().difference is None


def test_a_rerun_brings_its_origin() -> None:
    """So that what was reused can be compared."""
    origin = LawCase({"a": T, "b": {**T, "needs": ["a"]}})
    origin.start()
    origin.ok("a", 1)
    origin.fail("b", retryable=False)
    case = LawCase({"a": T, "b": {**T, "needs": ["a"]}}, origin=origin.state)
    case.start(origin={"workflow": "w", "seq": 4, "from": []})
    case.ok("b")
    assert read_bundle(exported(case, origin=exported(origin))).replay().difference is None
    assert read_bundle(exported(case)).replay().difference is not None


def test_what_is_redacted_is_in_no_byte_of_the_bundle() -> None:
    """Neither in events nor in definitions nor in artifacts; it still folds to the same statuses."""
    case = finished()
    rules = Redaction(values=["hunter2-hunter2", "big"])
    data = exported(case, redaction=rules, artifacts=[(hashlib.sha256(b'"big"').hexdigest(), b'"big"')])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert all(b"hunter2" not in archive.read(name) for name in archive.namelist())
    bundle = read_bundle(data)
    assert bundle.left_out == (hashlib.sha256(b'"big"').hexdigest(),)
    state = bundle.state_at()
    assert (state.status, state.inputs) == ("succeeded", {"password": REDACTED})
    assert state.steps["b"].output == {"said": f"{REDACTED} it was", "api_key": REDACTED}


@given(
    st.recursive(
        st.text(max_size=8) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
    st.text(min_size=4, max_size=12),
)
def test_no_value_survives_its_redaction(value: object, secret: str) -> None:
    """Wherever it stands."""
    hidden = plain_copy({"a": value, secret: [secret, f"x{secret}y"], "Api-Key": {"deep": secret}})
    for text in texts_in(Redaction(values=[secret]).of(hidden)):
        assert secret in REDACTED or secret not in text.replace(REDACTED, "")


def texts_in(value: JSON) -> list[str]:
    """Every text and key of a value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for each in value for text in texts_in(each)]
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in (key, *texts_in(each))]
    return []


def sign(manifest: bytes) -> Mapping[str, str]:
    """A signature for tests."""
    return {"algorithm": "hmac", "public_key": "test", "signature": hmac.digest(b"k", manifest, "sha256").hex()}


def verify(manifest: bytes, signature: Mapping[str, str]) -> None:
    """Its counterpart."""
    if not hmac.compare_digest(sign(manifest)["signature"], signature["signature"]):
        raise BadBundle("the signature does not hold")


def test_a_signature_covers_every_file() -> None:
    """An unsigned bundle does not do where a signed one is asked for."""
    case = finished()
    assert read_bundle(exported(case, sign=sign), verify=verify).signed_by == "test"
    with pytest.raises(BadBundle, match="signed"):
        read_bundle(exported(case), verify=verify)
    files = unzipped(exported(case, sign=sign))
    files["events.jsonl"] = files["events.jsonl"].replace(b"hunter2", b"hunter3")
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["events.jsonl"] = hashlib.sha256(files["events.jsonl"]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(BadBundle, match="signature"):
        read_bundle(zipped(files), verify=verify)


def unzipped(data: bytes) -> dict[str, bytes]:
    """The files of a bundle."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_every_change_of_a_file_is_found() -> None:
    """Changed, missing, and added ones."""
    good = unzipped(exported(finished()))
    for name in good:
        if name != "manifest.json":
            for spoiled in (
                {**good, name: good[name] + b" "},
                {key: each for key, each in good.items() if key != name},
            ):
                with pytest.raises(BadBundle):
                    read_bundle(zipped(spoiled))
    with pytest.raises(BadBundle, match="agree"):
        read_bundle(zipped({**good, "../../etc/passwd": b"x"}))


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"format": "maestro-bundle/9"}',
        b'{"format": "maestro-bundle/1", "files": 3}',
        b"\xff",
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(manifest: bytes) -> None:
    """With a reason."""
    with pytest.raises(BadBundle):
        read_bundle(zipped({**unzipped(exported(finished())), "manifest.json": manifest}))


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_be_refused(data: bytes) -> None:
    """Whatever they are."""
    with pytest.raises(BadBundle):
        read_bundle(data)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is on what comes out, not on what a header says."""
    monkeypatch.setattr("maestro_workflow_engine._bundle.MAX_BUNDLE_BYTES", 10_000)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b"0" * 1_000_000)
    with pytest.raises(BadBundle, match="too large"):
        read_bundle(buffer.getvalue())


def test_the_same_workflow_gives_the_same_bytes() -> None:
    """So that two exports can be compared."""
    assert exported(finished()) == exported(finished())
    assert isinstance(read_bundle(exported(finished())), Bundle)


def test_nothing_is_not_exported() -> None:
    """A workflow has at least its start."""
    with pytest.raises(ValueError, match="no events"):
        bundle_bytes([], {}, exported_at=NOW)
