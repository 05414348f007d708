"""For tests of services: the tests of a contract, and what finds answers that no contract declares."""

from maestro_core_api._conformance import ContractTests
from maestro_core_api._conformance_idempotency import IdempotencyConformance
from maestro_core_api._conformance_rate import RateLimitConformance
from maestro_core_api._declared import DeclaredAnswers
from maestro_core_api._manual_clock import ManualClock

__all__ = [
    "ContractTests",
    "DeclaredAnswers",
    "IdempotencyConformance",
    "ManualClock",
    "RateLimitConformance",
]
