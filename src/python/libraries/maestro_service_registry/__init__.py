"""Register with a lease, be found, watch, and act with fencing tokens: a service registry on the standard library."""

from maestro_service_registry._balance import Balancer, rendezvous
from maestro_service_registry._client import RegistryClient
from maestro_service_registry._contract import Version, is_compatible, parse_version
from maestro_service_registry._directory import Directory
from maestro_service_registry._errors import (
    InvalidRequest,
    LeaseHeld,
    LeaseLost,
    NoInstance,
    NotAllowed,
    RegistryError,
    StaleToken,
    StoreError,
    TooMany,
    UnknownInstance,
    Unreachable,
)
from maestro_service_registry._fencing import FencingGuard, fence
from maestro_service_registry._keeper import Keeper
from maestro_service_registry._model import (
    Change,
    Changes,
    Instance,
    Lease,
    Probe,
    Query,
    Registration,
    Snapshot,
    Status,
)
from maestro_service_registry._registry import LocalRegistry, Registry
from maestro_service_registry._server import RegistryServer

__all__ = [
    "Balancer",
    "Change",
    "Changes",
    "Directory",
    "FencingGuard",
    "Instance",
    "InvalidRequest",
    "Keeper",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "LocalRegistry",
    "NoInstance",
    "NotAllowed",
    "Probe",
    "Query",
    "Registration",
    "Registry",
    "RegistryClient",
    "RegistryError",
    "RegistryServer",
    "Snapshot",
    "StaleToken",
    "Status",
    "StoreError",
    "TooMany",
    "UnknownInstance",
    "Unreachable",
    "Version",
    "fence",
    "is_compatible",
    "parse_version",
    "rendezvous",
]
