"""What is kept on this machine between two commands: which portal, and the tokens of a sign-in.

One file, readable by its owner alone (0600), written whole or not at all. A file that others may
read is not used. A token of the environment, and a pipeline's, are never written.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apps.cli.exits import NotSignedIn

PRIVATE = 0o600


@dataclass(frozen=True)
class SignedIn:
    """A sign-in at the identity provider. expires_at: seconds since 1970. refresh_token: "" where
    the provider gave none.
    """

    token_endpoint: str
    client_id: str
    access_token: str
    expires_at: float
    refresh_token: str = ""


class Store:
    """The file. Raises NotSignedIn where it cannot be trusted or read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "credentials.json"

    @classmethod
    def of_environment(cls, env: Mapping[str, str] = os.environ) -> "Store":
        """Return the one that the environment names: QUARTERMASTER_CONFIG, else where programs keep
        their settings.
        """
        if named := env.get("QUARTERMASTER_CONFIG"):
            return cls(Path(named))
        above = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        return cls(Path(above) / "quartermaster")

    def portal(self) -> str:
        """Return the address of the portal that was signed in to last; "" for none."""
        return str(self._read().get("portal", ""))

    def signed_in(self, portal: str) -> SignedIn | None:
        """Return the sign-in at a portal; None where there is none."""
        found = self._read().get("sign_ins", {}).get(portal)
        try:
            return SignedIn(**found) if found else None
        except TypeError as error:
            raise self._unreadable() from error

    def keep(self, portal: str, signed_in: SignedIn) -> None:
        """Remember a sign-in, and that this portal is the one that is meant."""
        kept = self._read()
        sign_ins = kept.get("sign_ins", {}) | {portal: asdict(signed_in)}
        self._write({"portal": portal, "sign_ins": sign_ins})

    def forget(self, portal: str) -> bool:
        """Forget the sign-in at a portal. False where there was none."""
        kept = self._read()
        found = kept.get("sign_ins", {}).pop(portal, None)
        if found:
            self._write(kept)
        return bool(found)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off other commands: a refresh token may be used once, by one of them."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW
        lock = os.open(self.folder / "lock", flags, PRIVATE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as stream:  # so that both are of one file
                mode = os.fstat(stream.fileno()).st_mode
                found = json.loads(stream.read())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise self._unreadable() from error
        if mode & 0o077:
            raise NotSignedIn(
                f"Others can read {self.path}. If nobody did, run: chmod 600 {self.path}"
            )
        if not isinstance(found, dict) or not isinstance(found.get("sign_ins", {}), dict):
            raise self._unreadable()
        return found

    def _write(self, content: dict[str, Any]) -> None:
        """Replace the file. The draft is private from the moment it is there (mkstemp)."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=self.folder, prefix=".credentials-")
        try:
            with os.fdopen(handle, "w") as stream:
                json.dump(content, stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(draft).replace(self.path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def _unreadable(self) -> NotSignedIn:
        return NotSignedIn(f"{self.path} cannot be read. Remove it and sign in again.")
