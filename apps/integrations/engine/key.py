"""The key without which an engine takes no call: read from a file at each use, so that it may
change under a process that goes on, and kept nowhere else.

Each namespace of engines has a key of its own. So the file of a process that evaluates is that of
`evals`, and the gate's, which asks guard models, is that of `models`: neither opens the other's.
"""

from pathlib import Path

from django.conf import settings

from apps.integrations.errors import PermanentError, TemporaryError


def engine_key() -> str:
    """Return the key to show engines. Raises PermanentError where no file is named, TemporaryError
    where it cannot be read or is empty: it may be under way.
    """
    if not settings.ENGINE_KEY_FILE:
        raise PermanentError("ENGINE_KEY_FILE is not set, and engines take no call without a key.")
    try:
        found = Path(settings.ENGINE_KEY_FILE).read_text().strip()
    except OSError as error:
        raise TemporaryError(f"ENGINE_KEY_FILE cannot be read: {error.strerror}.") from error
    if not found:
        raise TemporaryError("ENGINE_KEY_FILE is empty.")
    return found
