"""The settings of the engine, read once and passed down; each is `MAESTRO_ENGINE_<NAME>` in the environment."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from maestro_core_config import Settings, data_dir

_Seconds = Annotated[float, Field(gt=0, le=86_400)]


class EngineSettings(Settings, env_prefix="MAESTRO_ENGINE_"):
    """Where the engine listens, where it keeps its data, and what it allows."""

    host: str = Field("127.0.0.1", description="Address to listen on; anything but loopback needs allow_remote.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    allow_remote: bool = Field(False, description="Listen beyond loopback, although there is no sign-in yet.")
    allowed_hosts: tuple[str, ...] = Field((), description="Host names besides loopback that requests may ask for.")
    allowed_origins: tuple[str, ...] = Field((), description="Origins besides those hosts whose pages may call.")
    data_dir: Path = Field(default_factory=data_dir, description="Where workflows are kept.")
    templates_dir: Path | None = Field(None, description="Workflow templates; None is `templates` in data_dir.")
    max_parallel_steps: int = Field(64, ge=1, le=10_000, description="How many steps may run at once.")
    synchronous: Literal["FULL", "NORMAL"] = Field(
        "FULL", description="FULL survives a power cut; NORMAL survives a crash of the process only."
    )
    drain_s: float = Field(10.0, ge=0, le=3600, description="How long running steps may go on after a stop.")
    max_body_bytes: int = Field(1_048_576, ge=1024, le=64 * 1_048_576, description="Of a request; beyond it 413.")
    max_header_bytes: int = Field(32_768, ge=1024, le=65_536, description="Of a request; beyond it 431.")
    request_timeout_s: _Seconds = Field(30.0, description="Until an answer begins; a stream may last longer.")
    max_readers: int = Field(200, ge=1, le=10_000, description="Open sockets and event streams.")
    max_subscriptions: int = Field(50, ge=1, le=1000, description="Per socket.")
    max_message_bytes: int = Field(65_536, ge=256, le=1_048_576, description="Of a message that a socket sends.")
    reader_buffer_events: int = Field(1000, ge=1, le=100_000, description="Events that may wait for one reader.")
    reader_timeout_s: _Seconds = Field(10.0, description="How long a reader may take no event.")
    heartbeat_s: _Seconds = Field(15.0, description="Between signs of life on a quiet socket or stream.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("WARNING", description="INFO has every request.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto is console on a terminal, else json."
    )

    @property
    def templates(self) -> Path:
        """Where workflow templates lie."""
        return self.templates_dir or self.data_dir / "templates"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the engine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
