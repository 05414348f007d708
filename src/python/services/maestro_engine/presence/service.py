"""The engine's entry in the service registry, kept for as long as it runs."""

import socket
from contextlib import AbstractContextManager, nullcontext

from maestro_engine.settings import EngineSettings
from maestro_service_registry import Keeper, Registration, RegistryClient

SERVICE = "maestro-engine"


def presence(settings: EngineSettings, address: str, contract: str) -> AbstractContextManager[Keeper | None]:
    """Registers at `registry_url` inside the block; does nothing where that is not set.

    It never keeps the engine from working: while the registry is away it goes on trying. Raises InvalidRequest for an
    address or a name that no registry would take.
    """
    if settings.registry_url is None:
        return nullcontext()
    token = settings.registry_token
    client = RegistryClient(settings.registry_url, access_token=token.get_secret_value() if token is not None else None)
    url = settings.public_url or _reachable(address)
    name = settings.registry_instance or f"{socket.gethostname()}-{address.rpartition(':')[2]}"
    return Keeper(client, Registration(SERVICE, name, url, contract=contract, labels=settings.registry_labels))


def _reachable(address: str) -> str:
    """Where the engine listens, as others can say it: an address that stands for all of them is that of nobody."""
    for every in ("//0.0.0.0:", "//[::]:"):
        address = address.replace(every, f"//{socket.gethostname()}:")
    return address
