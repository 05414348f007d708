"""The way in: parse, call, answer; no decisions."""
