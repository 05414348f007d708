"""The settings of the edge: a section of a service's settings, and nothing in it that cannot be."""

import pytest
from pydantic import ValidationError

from maestro_core_api import LOOPBACK_NAMES, ApiSettings
from maestro_core_config import Settings
from maestro_core_config.testing import settings_from


class ServiceSettings(Settings, env_prefix="TINY_"):
    """A service with an edge."""

    api: ApiSettings = ApiSettings()


def test_they_are_a_section_of_a_services_settings() -> None:
    """From the environment, with the rest."""
    loaded = settings_from(ServiceSettings, environment={"TINY_API__PORT": "9000", "TINY_API__DRAIN_S": "3"})
    assert (loaded.api.port, loaded.api.drain_s, loaded.api.host) == (9000, 3.0, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allowed_hosts", ("https://a.example",)),
        ("allowed_hosts", ("*",)),
        ("allowed_hosts", ("",)),
        ("allowed_origins", ("a.example",)),
        ("allowed_origins", ("https://a.example/path",)),
        ("allowed_origins", ("*",)),
        ("health_detail_for", ("neighbours",)),
        ("port", -1),
        ("request_timeout_s", 0),
        ("max_body_bytes", 0),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object) -> None:
    """By the name of the setting; a wildcard would undo what the gate is for."""
    with pytest.raises(ValidationError, match=name):
        ApiSettings(**{name: value})


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("a.lan", False),
    ],
)
def test_it_knows_who_can_reach_it(host: str, is_loopback: bool) -> None:
    """Loopback names are always answered; an address that others reach is a host name too."""
    settings = ApiSettings(host=host, allowed_hosts=("Maestro.LAN",))
    assert settings.is_loopback is is_loopback
    assert set(settings.trust.hosts) == LOOPBACK_NAMES | {"maestro.lan"} | (set() if is_loopback else {host})
