"""Workflow templates: definitions with a name and immutable versions."""
