"""One settings class with every kind of setting, for all tests of this folder."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import Field

from maestro_core_config import SecretText, Section, Settings


class Database(Section):
    url: str = "sqlite://"
    pool_size: int = Field(5, ge=1, le=100, description="Connections that are kept open")
    password: SecretText | None = None


class Server(Section):
    address: str
    token: SecretText | None = None
    tags: tuple[str, ...] = ()


class AppSettings(Settings, env_prefix="MAESTRO_APP_"):
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535, description="TCP port")
    debug: bool = False
    timeout_s: float | None = 30.0
    origins: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    servers: Mapping[str, Server] = {}
    database: Database = Database(url="sqlite:///app.db")
    api_token: SecretText | None = None


@pytest.fixture
def app() -> type[Any]:
    return AppSettings
