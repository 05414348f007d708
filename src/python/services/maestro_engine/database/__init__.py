"""What rooms that own data keep it in."""
