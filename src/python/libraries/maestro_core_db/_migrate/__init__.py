"""Migrations of one wheel: found in the wheel, run under a lock, checked against its models."""
