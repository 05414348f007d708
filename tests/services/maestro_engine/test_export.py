"""A workflow as one file: what the engine gives out can be read, verified and replayed elsewhere."""

import base64
import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from services.maestro_engine.running import Engine, StartEngine

from maestro_engine.workflows.export import BundleSigner
from maestro_workflow_engine import BadBundle, Bundle, read_bundle

PASSWORD = "hunter2-hunter2"


def verify(manifest: bytes, signature: dict[str, str]) -> None:
    """What a receiver does with the public key of the engine."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature["public_key"]))
    try:
        key.verify(base64.b64decode(signature["signature"]), manifest)
    except InvalidSignature as error:
        raise BadBundle("the signature does not hold") from error


async def exported(engine: Engine, workflow_id: str, **order: object) -> bytes:
    """The bytes of a bundle."""
    answer = await engine.http.post(f"/api/workflows/{workflow_id}/export", json=order)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return answer.content


async def finished(engine: Engine) -> str:
    """A workflow with a password, an artifact and outputs."""
    steps = {
        "a": {"kind": "echo", "with": {"password": "${{ inputs.password }}", "n": 1}},
        "page": {"kind": "artifact"},
        "b": {"kind": "echo", "with": {"n": "${{ steps.a.output.n }}"}, "needs": ["page"]},
    }
    definition = {"name": "case", "inputs": {"password": {"type": "string"}}, "steps": steps}
    id_ = await engine.start(definition, inputs={"password": PASSWORD})
    await engine.backend.wait(id_, 20)
    return id_


async def test_an_export_is_signed_and_replays(engine: Engine) -> None:
    """With everything that happened; and the audit log knows who took it."""
    id_ = await finished(engine)
    bundle = read_bundle(await exported(engine, id_, redact=False, artifacts=True), verify=verify)  # type: ignore[arg-type]  # a plain function does
    assert isinstance(bundle, Bundle)
    assert bundle.state_at() == await engine.backend.get(id_)
    assert bundle.replay().difference is None
    assert list(bundle.artifacts.values()) == [b"<script>alert(1)</script>"]
    assert [entry["object"] for entry in await engine.entries(action="workflow.export")] == [id_]


async def test_what_looks_like_a_secret_stays_in_the_house(engine: Engine) -> None:
    """Unless it is asked for; texts that are named stay in any case."""
    id_ = await finished(engine)
    assert PASSWORD.encode() not in b"".join(contents(await exported(engine, id_)))
    assert PASSWORD.encode() in b"".join(contents(await exported(engine, id_, redact=False)))
    assert b"alert" not in b"".join(contents(await exported(engine, id_, values=["alert"], artifacts=True)))


def contents(bundle: bytes) -> list[bytes]:
    """Every file of a bundle."""
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return [archive.read(name) for name in archive.namelist()]


async def test_a_rerun_brings_its_origin(engine: Engine) -> None:
    """And replays with it, also while it runs."""
    id_ = await finished(engine)
    again = (await engine.http.post(f"/api/workflows/{id_}/rerun", json={"from_steps": ["b"]})).json()["id"]
    await engine.backend.wait(again, 20)
    bundle = read_bundle(await exported(engine, again))
    assert bundle.origin is not None
    assert bundle.origin.workflow_id == id_
    assert bundle.replay().difference is None


async def test_a_migrated_workflow_brings_both_definitions(engine: Engine) -> None:
    """And a running one can be exported too."""
    id_ = await engine.start({"name": "case", "steps": {"a": {"kind": "gate"}}})
    await engine.gate.arrival()
    other = {"name": "case", "steps": {"a": {"kind": "gate"}, "b": {"kind": "echo", "needs": ["a"]}}}
    await engine.http.post(f"/api/workflows/{id_}/migrate", json={"definition": other})
    bundle = read_bundle(await exported(engine, id_))
    assert len(bundle.definitions) == 2
    assert bundle.state_at().status == "running"
    assert bundle.replay().difference is None


async def test_the_key_is_kept_and_is_for_its_owner_alone(start_engine: StartEngine, tmp_path: Path) -> None:
    """A second engine on the same folder signs with the same."""
    keys = set()
    for _ in range(2):
        async with start_engine() as engine:
            keys.add(read_bundle(await exported(engine, await finished(engine))).signed_by)
    assert len(keys) == 1
    assert os.stat(tmp_path / "data" / "bundle-signing.key").st_mode & 0o077 == 0


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    """Nothing is signed with it."""
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match="32"):
        BundleSigner(tmp_path / "key")(b"manifest")
