"""The credential of a program that calls one of the portal's own doors: a bearer token, kept in a
file.
"""

import hmac
from pathlib import Path


def is_bearer(header: str, token_file: str) -> bool:
    """Tell whether an Authorization header carries the token in the file. Read at each call: tokens
    are rotated.
    """
    expected = f"Bearer {Path(token_file).read_text().strip()}"
    return hmac.compare_digest(header.encode(), expected.encode())
