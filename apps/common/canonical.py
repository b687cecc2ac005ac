"""The one JSON text of a value (RFC 8785), and its digest: whoever has the value comes to the same
bytes, in any language. Pure.
"""

import hashlib

import rfc8785

LARGEST = 2**53 - 1  # the largest whole number that every reader of JSON keeps exactly


def canonical(value: object) -> bytes:
    """Return the canonical JSON of a value: keys sorted, no spaces, UTF-8, numbers as ECMAScript
    writes them. Raises ValueError for what has none: a whole number beyond 2^53 - 1, one that is
    not finite, a key that is no text.
    """
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # it refuses what is no JSON by itself


def digest_of(value: object) -> str:
    """Return "sha256:<hex>" over the canonical JSON of a value. Raises ValueError as canonical
    does.
    """
    return digest_of_bytes(canonical(value))


def digest_of_bytes(content: bytes) -> str:
    """Return "sha256:<hex>" over bytes as they are."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def plain(value: object) -> object:
    """Return a value as JSON that every store and reader keeps exactly: keys are text, tuples are
    lists, numbers beyond 2^53 - 1 are text.
    """
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return str(value)
    return value
