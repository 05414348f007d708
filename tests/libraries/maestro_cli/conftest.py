"""An engine for the commands that speak to one, in a process of its own, as `maestro up` starts it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from libraries.maestro_cli.command import environment


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running engine; tests share it, and look only at what they have started."""
    data_dir = tmp_path_factory.mktemp("engine")
    log = data_dir / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "maestro_cli", "up", "--port", "0", "--data-dir", str(data_dir / "data")],
            cwd=data_dir,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Maestro engine on "):
                break
        else:
            raise AssertionError(log.read_text())
        try:
            yield line.split()[3]
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the definition `parcels.yml`, which waits for an approval and a signal."""
    (tmp_path / "parcels.yml").write_text(PARCELS)
    return tmp_path


PARCELS = """
name: parcels
inputs:
  n: {type: integer, default: 2}
  note: {type: string, default: none}
steps:
  fetch: {kind: shell, with: {command: "echo fetched"}}
  each: {kind: shell, needs: [fetch], with: {command: "echo ${{ item }}"}, map: {items: "${{ range(inputs.n) }}"}}
  go: {kind: signal, needs: [fetch], with: {name: go-ahead}}
  ok:
    kind: approval
    needs: [each]
    with:
      title: "Ship ${{ inputs.n }} parcels?"
      to: [admin]
      deadline_s: 3600
      form: {type: object, properties: {carrier: {type: string, enum: [dhl, ups]}}, required: [carrier]}
  ship: {kind: shell, needs: [go, ok], with: {command: "echo shipped by ${{ steps.ok.output.data.carrier }}"}}
outputs: {said: "${{ steps.ship.output.stdout }}"}
"""
