"""The command `maestro`: run a workflow here, check one, or start the engine."""

from maestro_cli._main import main

__all__ = ["main"]
