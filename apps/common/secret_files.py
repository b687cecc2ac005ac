"""Secrets in files, read at each use: who rotates one writes the file, and nothing is restarted."""

from pathlib import Path
from urllib.parse import unquote, urlsplit


def password_in(path: str, *, is_address: bool) -> str:
    """Return the password that a file holds now; "" where it holds an address without one.

    is_address: it holds a whole address, with the password in it. Raises OSError.
    """
    try:
        text = Path(path).read_text().strip()
    except UnicodeDecodeError as error:
        raise OSError(f"{path} is no text") from error
    return unquote(urlsplit(text).password or "") if is_address else text
