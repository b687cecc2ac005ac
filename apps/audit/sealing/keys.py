"""The public keys that may have signed this record's checkpoints: all that web server and workers
have of them. The private one is the sealer's alone.
"""

from pathlib import Path

from django.conf import settings

from apps.audit.sealing.checkpoints import Keys
from apps.common.signing import P256, read_public_keys


def keys_from_settings() -> Keys:
    """Return the keys, the one that signs now first. Raises ValueError where the file holds none,
    or one that is not on P-256.
    """
    path = Path(settings.AUDIT_PUBLIC_KEYS_FILE)
    keys = read_public_keys(path.read_bytes(), curves=[P256])
    if not keys:
        raise ValueError(f"{path} holds no public key")
    return keys
