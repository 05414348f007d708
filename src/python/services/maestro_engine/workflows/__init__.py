"""Workflows on the wire: start, read, cancel."""
