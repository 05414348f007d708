"""The settings of the engine, read once and passed down; each is `MAESTRO_ENGINE_<NAME>` in the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from maestro_core_api import ApiSettings
from maestro_core_config import SecretText, Settings, data_dir
from maestro_workflow_engine import RetentionPolicy

_Seconds = Annotated[float, Field(gt=0, le=86_400)]


class EngineSettings(ApiSettings, Settings, env_prefix="MAESTRO_ENGINE_"):
    """Where the engine listens, where it keeps its data, and what it allows."""

    auth: Literal["auto", "on", "off"] = Field(
        "auto", description="Sign-in; auto is off on loopback and on elsewhere, where off is refused."
    )
    drain_s: float = Field(
        10.0, ge=0, le=3600, description="After a stop: how long running requests, and then running steps, may go on."
    )
    data_dir: Path = Field(default_factory=data_dir, description="Where workflows are kept.")
    templates_dir: Path | None = Field(None, description="Workflow templates; None is `templates` in data_dir.")
    max_parallel_steps: int = Field(64, ge=1, le=10_000, description="How many steps may run at once.")
    synchronous: Literal["FULL", "NORMAL"] = Field(
        "FULL", description="FULL survives a power cut; NORMAL survives a crash of the process only."
    )
    max_readers: int = Field(200, ge=1, le=10_000, description="Open sockets and event streams.")
    max_subscriptions: int = Field(50, ge=1, le=1000, description="Per socket.")
    reader_buffer_events: int = Field(1000, ge=1, le=100_000, description="Events that may wait for one reader.")
    reader_timeout_s: _Seconds = Field(10.0, description="How long a reader may take no event.")
    first_message_timeout_s: _Seconds = Field(10.0, description="How long a socket may take to sign in.")
    mcp_wait_s: _Seconds = Field(60.0, description="How long an MCP call waits for its workflow at most.")
    mcp_direct_s: float = Field(
        0.2, ge=0, le=60, description="An MCP call that ends within it is answered at once, a longer one as a task."
    )
    mcp_poll_interval_s: _Seconds = Field(1.0, description="How often MCP clients should ask for a task.")
    keep_history_days: float | None = Field(
        30.0, gt=0, le=36_500, description="Ended workflows are deleted after so many days; null keeps them for ever."
    )
    webhooks_to_private: bool | None = Field(
        None, description="Whether webhooks may go to private addresses; null is yes on loopback and no elsewhere."
    )
    publish_events: bool = Field(
        False, description="Publish events to events.db also when no webhook asks, for other consumers of that file."
    )
    heartbeat_s: _Seconds = Field(15.0, description="Between signs of life on a quiet socket or stream.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("WARNING", description="INFO has every request.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto is console on a terminal, else json."
    )

    secret_key: SecretText | None = Field(
        None, description="Keys of secrets and artifacts in base64, the newest first; null takes those of a file."
    )
    secret_key_file: Path | None = Field(
        None, description="File of these keys, for its user alone; null is one beside data_dir, made on loopback."
    )

    registry_url: str | None = Field(None, description="Service registry to be found in; null is none.")
    registry_token: SecretText | None = Field(None, description="Access token of that registry.")
    registry_instance: str | None = Field(None, description="Name there; null is the host's name and the port.")
    registry_labels: Mapping[str, str] = Field(default_factory=dict, description="Labels there.")
    public_url: str | None = Field(
        None, description="Address that others reach the engine by; null is where it listens."
    )
    traces_url: str | None = Field(None, description="OTLP/HTTP collector of traces; null sends none.")

    @property
    def own_key_file(self) -> Path:
        """Where the engine keeps the keys that it makes: beside the data folder, so that no copy of that has them."""
        return Path(f"{os.path.abspath(self.data_dir)}.key")

    @property
    def retention(self) -> RetentionPolicy | None:
        """How long history is kept; None is for ever."""
        if self.keep_history_days is None:
            return None
        return RetentionPolicy(finished_after_s=self.keep_history_days * 86_400)

    @property
    def templates(self) -> Path:
        """Where workflow templates lie."""
        return self.templates_dir or self.data_dir / "templates"

    @property
    def users_file(self) -> Path:
        """Where users and the digests of their keys are kept."""
        return self.data_dir / "users.db"

    @property
    def signs_in(self) -> bool:
        """Whether callers have to say who they are."""
        return self.auth == "on" or not self.is_loopback
