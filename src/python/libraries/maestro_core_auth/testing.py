"""For tests: a clock, randomness, the suite that every AuthStore passes, `who_may`, and a provider that lies."""

from maestro_core_auth._testing._clock import ManualClock, seeded_bytes
from maestro_core_auth._testing._conformance import AuthStoreConformance
from maestro_core_auth._testing._provider import FakeProvider, signed
from maestro_core_auth._testing._who_may import who_may

__all__ = ["AuthStoreConformance", "FakeProvider", "ManualClock", "seeded_bytes", "signed", "who_may"]
