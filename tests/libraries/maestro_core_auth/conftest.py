"""Settings of the property tests: no example database in the working folder, no limit by wall clock."""

from hypothesis import settings

settings.register_profile("maestro-core-auth", database=None, deadline=None, max_examples=100)
settings.load_profile("maestro-core-auth")
