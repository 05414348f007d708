"""Who may use the engine, and for what."""
