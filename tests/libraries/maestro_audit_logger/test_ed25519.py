"""Ed25519 verification against the vectors of RFC 8032 and against cryptography."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro_audit_logger._ed25519 import ed25519_verifies

# RFC 8032, section 7.1: public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_the_rfc(key: str, message: str, signature: str) -> None:
    """Each verifies; with one bit of the signature turned it does not."""
    public, text, value = (bytes.fromhex(part) for part in (key, message, signature))
    assert ed25519_verifies(public, text, value)
    assert not ed25519_verifies(public, text + b"x", value)
    for bit in range(0, 512, 37):
        turned = bytearray(value)
        turned[bit // 8] ^= 1 << bit % 8
        assert not ed25519_verifies(public, text, bytes(turned))


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=64))
def test_what_cryptography_signs_verifies(seed: bytes, message: bytes) -> None:
    """The signature of a well-tried library verifies; with its scalar moved by the group's order it does not."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert ed25519_verifies(public, message, signature)
    moved = int.from_bytes(signature[32:], "little") + ORDER
    assert not ed25519_verifies(public, message, signature[:32] + moved.to_bytes(32, "little"))


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.integers(0, 767))
def test_it_takes_nothing_that_cryptography_refuses(seed: bytes, noise: bytes, bit: int) -> None:
    """Random signatures, and right ones with a bit turned in key or signature, get the oracle's answer."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    data = bytearray(key.public_key().public_bytes_raw() + key.sign(b"message"))
    data[bit // 8] ^= 1 << bit % 8
    for public, signature in ((bytes(data[:32]), bytes(data[32:])), (key.public_key().public_bytes_raw(), noise)):
        assert ed25519_verifies(public, b"message", signature) == oracle(public, signature)


def oracle(public: bytes, signature: bytes) -> bool:
    """What cryptography says."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, b"message")
    except (InvalidSignature, ValueError):
        return False
    return True


def test_wrong_lengths_are_no_signatures() -> None:
    """Too short, too long and empty are refused without an error."""
    public, _, value = (bytes.fromhex(part) for part in VECTORS[0])
    for key, signature in ((public[:31], value), (public + b"x", value), (public, value[:63]), (b"", b"")):
        assert not ed25519_verifies(key, b"", signature)
    assert not ed25519_verifies(b"\xff" * 32, b"", value)
