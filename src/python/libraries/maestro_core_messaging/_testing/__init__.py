"""What testing.py offers."""
