"""A seal for tests of what is sealed, without a key."""


class PlainSeal:
    """Turns bytes around, and holds them to their place."""

    def seal(self, data: bytes, bound_to: bytes) -> bytes:
        """Sealed, so to speak."""
        return bound_to + b"|" + data[::-1]

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed; raises ValueError."""
        if not sealed.startswith(bound_to + b"|"):
            raise ValueError("it was sealed for another place")
        return sealed[len(bound_to) + 1 :][::-1]
