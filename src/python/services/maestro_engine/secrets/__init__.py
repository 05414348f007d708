"""Secrets of workflows: kept encrypted, given to steps, shown to nobody."""
