"""What came in by SMTP, kept as files: newest first, the oldest leave."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

KEPT = 500
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Mail:
    """One message as it arrived. at: seconds since 1970; text: its plain body."""

    name: str
    at: float
    to: tuple[str, ...]
    subject: str
    text: str
    headers: tuple[tuple[str, str], ...]


class Inbox:
    """A folder of messages. answer: what the server says to the next ones, "" for taking them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.answer = folder, ""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, to: list[str], raw: bytes) -> None:
        """Keep a message."""
        name = f"{time.time_ns():020d}"
        draft = self._folder / f"{name}.part"
        draft.write_text(json.dumps({"to": to, "raw": raw.decode("utf-8", "replace")}))
        draft.replace(self._folder / f"{name}.json")
        for old in sorted(self._folder.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)

    def all(self, to: str = "") -> list[Mail]:
        """Return the messages, newest first; only those to one address where it is named."""
        found = (_read(path) for path in sorted(self._folder.glob("*.json"), reverse=True))
        return [mail for mail in found if not to or to.lower() in map(str.lower, mail.to)]

    def one(self, name: str) -> Mail | None:
        """Return one message; None where it is gone."""
        path = self._folder / f"{name}.json"
        return _read(path) if name.isdecimal() and path.exists() else None

    def empty(self) -> None:
        """Forget all of them."""
        for path in self._folder.glob("*.json"):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Mail:
    kept = json.loads(path.read_text())
    message = message_from_bytes(kept["raw"].encode(), _class=EmailMessage, policy=policy.default)
    body = message.get_body(("plain",))
    return Mail(
        name=path.stem,
        at=int(path.stem) / 1e9,
        to=tuple(kept["to"]),
        subject=str(message["Subject"] or ""),
        text=body.get_content() if body else "",
        headers=tuple((name, str(value)) for name, value in message.items()),
    )


class Taker:
    """What aiosmtpd asks: takes each message, or says what it was told to."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Take a message."""
        if self._inbox.answer:
            return self._inbox.answer
        self._inbox.keep(list(envelope.rcpt_tos), bytes(envelope.content))
        return "250 Kept; nothing is delivered from here"
