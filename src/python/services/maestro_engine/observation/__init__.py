"""What the engine does, as metrics and traces, and whether its parts work."""
