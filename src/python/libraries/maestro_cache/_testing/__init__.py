"""What `maestro_cache.testing` offers."""
