"""The settings that every service has at its edge."""

import ipaddress
from typing import Annotated

from pydantic import Field, field_validator

from maestro_core_api._gate import LOOPBACK_NAMES, Trust
from maestro_core_config import Section

_Seconds = Annotated[float, Field(gt=0, le=86_400)]


class ApiSettings(Section):
    """Where a service listens, whom it answers, and what it allows; a section of a settings class, or used alone."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    allowed_hosts: tuple[str, ...] = Field((), description="Host names besides loopback that requests may ask for.")
    allowed_origins: tuple[str, ...] = Field((), description="Origins of other sites whose pages may call (CORS).")
    trust_any_port: bool = Field(False, description="Pages that any port of an allowed host serves may call (CORS).")
    health_detail_for: tuple[str, ...] = Field(
        ("127.0.0.0/8", "::1/128"), description="Networks whose callers see why a service is not ready."
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, le=1_073_741_824, description="Of a request; beyond it 413.")
    max_header_bytes: int = Field(32_768, ge=1024, le=65_536, description="Of a request; beyond it 431.")
    max_message_bytes: int = Field(65_536, ge=256, le=16_777_216, description="Of a message on a WebSocket.")
    head_timeout_s: _Seconds = Field(15.0, description="Until the head of a request is complete.")
    request_timeout_s: _Seconds = Field(30.0, description="Until an answer begins; a stream may last longer.")
    keep_alive_s: _Seconds = Field(5.0, description="How long a quiet connection is kept for the next request.")
    drain_delay_s: float = Field(
        0.0, ge=0, le=600, description="After a stop: how long requests are still taken while readiness says no."
    )
    drain_s: float = Field(10.0, ge=0, le=3600, description="After a stop: how long running requests may go on.")

    @field_validator("allowed_hosts")
    @classmethod
    def _names_are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in names if not name or set(name) & set("/@?#* ") or name.endswith(":")]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no host name: write it without scheme, port, path and wildcard")
        return names

    @field_validator("allowed_origins")
    @classmethod
    def _origins_are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            scheme, separator, authority = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not authority or set(authority) & set("/@?#* "):
                raise ValueError(f"{origin!r} is no origin: write scheme and host, as https://dash.example")
        return origins

    @field_validator("health_detail_for")
    @classmethod
    def _networks_are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def trust(self) -> Trust:
        """Whose requests are answered by these settings."""
        own = set() if self.is_loopback else {self.host}
        names = {name.lower() for name in own | set(self.allowed_hosts)}
        return Trust(LOOPBACK_NAMES | names, frozenset(self.allowed_origins), self.trust_any_port)
