"""The way out: stored events to sockets; no commands."""
