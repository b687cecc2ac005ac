"""Public keys, and whether one of them signed something: with the package `cryptography` where it
is installed, else with arithmetic of our own, which knows keys on P-256 alone and is a hundred
times slower. It only checks signatures: nothing in it is secret.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

BEGIN, END = b"-----BEGIN PUBLIC KEY-----", b"-----END PUBLIC KEY-----"
# A key on P-256 (SubjectPublicKeyInfo, DER): this, then 32 bytes of x and 32 of y.
ON_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CURVE_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
BASE = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

Point = tuple[int, int, int]  # x/z², y/z³; z is 0 for the point at infinity


class Wrong(Exception):
    """Something is not as it was signed. The text says what."""


class Unreadable(Exception):
    """A file is not what this program reads. The text says where."""


@dataclass(frozen=True)
class Key:
    """An elliptic-curve public key: its SubjectPublicKeyInfo."""

    der: bytes

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the key: 64 hexadecimal digits."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> bytes:
        """Return the key as it stands in a file."""
        text = base64.b64encode(self.der)
        lines = [text[i : i + 64] for i in range(0, len(text), 64)]
        return b"\n".join([BEGIN, *lines, END, b""])

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Tell whether this key made an ECDSA signature (DER) over a message. Raises Unreadable for
        a key that cannot be used here.
        """
        if HAS_CRYPTOGRAPHY:
            return _signed_by_library(self.der, signature, message)
        return signed_on_p256(self.der, signature, message)


def read_keys(path: str) -> list[Key]:
    """Return the public keys of a PEM file."""
    found = keys_in(Path(path).read_bytes())
    if not found:
        raise Unreadable(f"{path}: no public key.")
    return found


def keys_in(pem: bytes) -> list[Key]:
    """Return the public keys of a text that has one PEM after the other."""
    found = []
    for block in pem.split(END)[:-1]:
        try:
            found.append(Key(base64.b64decode(block.rpartition(BEGIN)[2])))
        except binascii.Error as error:
            raise Unreadable("A public key that is no PEM.") from error
    return found


def _signed_by_library(der: bytes, signature: bytes, message: bytes) -> bool:
    key = serialization.load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Unreadable("A key that is no elliptic-curve key.")
    known = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    try:
        key.verify(signature, message, ec.ECDSA(known[key.curve.key_size]))
    except InvalidSignature:
        return False
    return True


def signed_on_p256(der: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a key on P-256 made an ECDSA signature over the SHA-256 of a message (FIPS
    186-5, 6.4.2). Raises Unreadable for another key.
    """
    if not der.startswith(ON_P256) or len(der) != len(ON_P256) + 64:
        raise Unreadable("A key that is not on P-256: install the package `cryptography` for it.")
    x, y = (int.from_bytes(der[at : at + 32]) for at in (len(ON_P256), len(ON_P256) + 32))
    if (y * y - x * x * x + 3 * x - CURVE_B) % PRIME or max(x, y) >= PRIME:
        raise Unreadable("A key that is no point of its curve.")
    numbers = _two_integers(signature)
    if numbers is None or not all(0 < number < ORDER for number in numbers):
        return False
    r, s = numbers
    inverse = pow(s, -1, ORDER)
    digest = int.from_bytes(hashlib.sha256(message).digest())
    found = _add(
        _times(digest * inverse % ORDER, (*BASE, 1)), _times(r * inverse % ORDER, (x, y, 1))
    )
    return found[2] != 0 and found[0] * pow(found[2], -2, PRIME) % PRIME % ORDER == r


def _two_integers(signature: bytes) -> tuple[int, int] | None:
    """Return r and s of a signature in DER; None where it is none."""
    if len(signature) < 8 or signature[0] != 0x30 or signature[1] != len(signature) - 2:
        return None
    numbers, rest = [], signature[2:]
    while rest:
        if len(rest) < 3 or rest[0] != 0x02 or not 0 < rest[1] <= len(rest) - 2:
            return None
        numbers.append(int.from_bytes(rest[2 : 2 + rest[1]], signed=True))
        rest = rest[2 + rest[1] :]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _times(factor: int, point: Point) -> Point:
    found: Point = (1, 1, 0)
    for bit in bin(factor)[2:]:
        found = _double(found)
        if bit == "1":
            found = _add(found, point)
    return found


def _double(point: Point) -> Point:
    x, y, z = point
    if not z or not y:
        return (1, 1, 0)
    delta, gamma = z * z % PRIME, y * y % PRIME
    beta = x * gamma % PRIME
    alpha = 3 * (x - delta) * (x + delta) % PRIME
    out = (alpha * alpha - 8 * beta) % PRIME
    third = ((y + z) ** 2 - gamma - delta) % PRIME
    return (out, (alpha * (4 * beta - out) - 8 * gamma * gamma) % PRIME, third)


def _add(one: Point, other: Point) -> Point:
    if not one[2] or not other[2]:
        return other if not one[2] else one
    (x1, y1, z1), (x2, y2, z2) = one, other
    z1z1, z2z2 = z1 * z1 % PRIME, z2 * z2 % PRIME
    u1, u2 = x1 * z2z2 % PRIME, x2 * z1z1 % PRIME
    s1, s2 = y1 * z2 * z2z2 % PRIME, y2 * z1 * z1z1 % PRIME
    if u1 == u2:
        return _double(one) if s1 == s2 else (1, 1, 0)
    h, r = u2 - u1, s2 - s1
    hh = h * h % PRIME
    hhh, v = h * hh % PRIME, u1 * hh % PRIME
    x3 = (r * r - hhh - 2 * v) % PRIME
    return (x3, (r * (v - x3) - s1 * hhh) % PRIME, h * z1 * z2 % PRIME)
