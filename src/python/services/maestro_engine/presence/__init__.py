"""Where others find the engine."""
