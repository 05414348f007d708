"""Ed25519 verification (RFC 8032, section 5.1.7) in plain Python; no secret is handled, so its timing tells nothing."""

from hashlib import sha512
from typing import TypeAlias

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)

# Extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z.
_Point: TypeAlias = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


def _sum(a: _Point, b: _Point) -> _Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % _P
    f = (a[1] + a[0]) * (b[1] + b[0]) % _P
    g = 2 * a[3] * b[3] * _D % _P
    h = 2 * a[2] * b[2] % _P
    i, j, k, m = f - e, h - g, h + g, f + e
    return i * j % _P, k * m % _P, j * k % _P, i * m % _P


def _sum_of_products(a: int, p: _Point, b: int, q: _Point) -> _Point:
    """a*p + b*q, doubling once for both."""
    terms = (_NEUTRAL, p, q, _sum(p, q))
    total = _NEUTRAL
    for bit in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        total = _sum(total, total)
        if term := a >> bit & 1 | (b >> bit & 1) << 1:
            total = _sum(total, terms[term])
    return total


def _decoded(data: bytes) -> _Point | None:
    """The point, or None where the bytes are none or are not its only encoding."""
    number = int.from_bytes(data, "little")
    y, sign = number & (1 << 255) - 1, number >> 255
    if y >= _P:
        return None
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(x_squared, (_P + 3) // 8, _P)
    if (x * x - x_squared) % _P:
        x = x * _SQRT_MINUS_1 % _P
    if (x * x - x_squared) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _decoded(bytes.fromhex("58" + "66" * 31))


def ed25519_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature of the message is right."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, scalar = _decoded(public_key), int.from_bytes(signature[32:], "little")
    if key is None or _BASE is None or scalar >= _ORDER:
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % _ORDER
    minus_key = (_P - key[0], key[1], key[2], _P - key[3])
    return _encoded(_sum_of_products(scalar, _BASE, challenge, minus_key)) == signature[:32]
