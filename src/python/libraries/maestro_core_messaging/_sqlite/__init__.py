"""The broker in a SQLite file, or in memory."""
