"""Runs one container's process and outlives the kubelet: `shim.py FOLDER -- COMMAND…` (standard
library only).

It leads a session of its own, writes what the process says to FOLDER/log in the format of CRI
(which `kubectl logs` reads), and when the process has ended writes FOLDER/exit.json. A kubelet that
was restarted finds the process by FOLDER/run.json and loses neither its output nor its exit code.
SIGTERM is passed on to the process.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

LOG_BYTES = 8 * 1024 * 1024  # then the log begins anew; the older half is kept beside it
LINE_BYTES = 16 * 1024


class CriLog:
    """A container log: one line per line, with time and stream."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = path.open("ab")

    def copy(self, stream: "subprocess._FILE", name: str) -> None:
        """Write a stream's lines until it ends."""
        while line := stream.readline(LINE_BYTES):  # type: ignore[union-attr]
            whole = line.endswith(b"\n")
            self.write(line.rstrip(b"\r\n"), name, "F" if whole or len(line) < LINE_BYTES else "P")

    def write(self, line: bytes, stream: str, tag: str = "F") -> None:
        """Write one line."""
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")  # noqa: UP017
        with self._lock:
            self._file.write(f"{now} {stream} {tag} ".encode() + line + b"\n")
            self._file.flush()
            if self._file.tell() > LOG_BYTES:
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._file = self._path.open("ab")


def main(folder: Path, command: list[str]) -> int:
    """Run the command until it ends; write its log and its end."""
    log = CriLog(folder / "log")
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    # it was blocked until there was a handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        log.write(str(error).encode(), "stderr")
        write_json(folder / "exit.json", {"code": 128, "at": now()})
        return 128
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    if told:
        child.send_signal(signal.SIGTERM)
    copies = [threading.Thread(target=log.copy, args=pair, daemon=True)
              for pair in ((child.stdout, "stdout"), (child.stderr, "stderr"))]  # fmt: skip
    for copy in copies:
        copy.start()
    code = child.wait()
    for copy in copies:
        copy.join(timeout=1)  # a grandchild may still hold the pipe
    write_json(folder / "exit.json", {"code": code if code >= 0 else 128 - code, "at": now()})
    return 0


def now() -> str:
    """Return this moment, UTC."""
    return datetime.now(timezone.utc).isoformat()  # noqa: UP017


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write a file in one step."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(content))
    draft.replace(path)


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(Path(sys.argv[1]), sys.argv[3:]))
