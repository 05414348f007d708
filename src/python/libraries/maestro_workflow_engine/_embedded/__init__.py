"""The embedded backend: one process, one SQLite file, one folder."""
