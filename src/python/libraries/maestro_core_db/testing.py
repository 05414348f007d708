"""For tests: databases for a while, faults on purpose, counted queries, and the suite for migrations."""

from maestro_core_db._testing._faults import Fault, inject_fault
from maestro_core_db._testing._migration_tests import MigrationTests
from maestro_core_db._testing._queries import (
    NPlusOne,
    SeenQueries,
    TooManyQueries,
    detect_n_plus_one,
    expect_queries,
)
from maestro_core_db._testing._temporary import temporary_database

__all__ = [
    "Fault",
    "MigrationTests",
    "NPlusOne",
    "SeenQueries",
    "TooManyQueries",
    "detect_n_plus_one",
    "expect_queries",
    "inject_fault",
    "temporary_database",
]
