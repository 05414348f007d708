"""The embedded backend keeps what every backend promises also when no workflow that only waits stays in memory."""

from collections.abc import Mapping
from pathlib import Path

from maestro_workflow_engine import Clock, EmbeddedBackend, ExecutionBackend, StepKind
from maestro_workflow_engine.testing import ExecutionBackendConformance


class TestEmbeddedBackendThatForgets(ExecutionBackendConformance):
    """SQLite in a temporary folder, and as little as possible in memory."""

    def open_backend(
        self,
        folder: Path,
        kinds: Mapping[str, StepKind],
        *,
        clock: Clock | None = None,
        max_parallel: int = 16,
        max_output_bytes: int = 1 << 20,
        stop_grace_s: float = 5.0,
    ) -> ExecutionBackend:
        """An embedded backend on this folder."""
        return EmbeddedBackend(
            folder,
            kinds=kinds,
            clock=clock,
            max_parallel=max_parallel,
            max_output_bytes=max_output_bytes,
            stop_grace_s=stop_grace_s,
            max_idle=0,
            max_busy=1,
        )
