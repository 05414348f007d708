"""What the second door of this wheel is made of."""
