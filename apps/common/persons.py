"""Persons where money and usage are shown: an id that says nothing, and stays the same for one
person, on pages, in files and everywhere else.

Whoever reads it can tell two callers apart, and not who either is: a hash with a key, which nobody
outside this process has. Nobody in Quartermaster may turn it around, so there is no page, no role
and no command for that; who called is in the prompt record and in the identity provider's own log.
"""

import hmac
from base64 import b32encode
from hashlib import sha256

from django.conf import settings

BYTES = 10  # of the hash: two of a million people share one with a chance below 1 in 10^12


def opaque_id(subject: str) -> str:
    """Return a person's id by the subject of their token: "p-mzxw6ytboi2hs3dp"; "" for nobody."""
    if not subject:
        return ""
    key = (settings.PERSON_ID_KEY or f"persons {settings.SECRET_KEY}").encode()
    found = hmac.digest(key, subject.encode(), sha256)[:BYTES]
    return f"p-{b32encode(found).decode().lower()}"
