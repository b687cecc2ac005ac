"""Processes of the bench: started, waited for, their processor seconds counted, ended."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from socket import create_connection

import psutil


@contextmanager
def running(
    words: Sequence[str], env: Mapping[str, str], *, port: int, seconds: float = 120.0
) -> Iterator[psutil.Process]:
    """Run a process for as long as the block lasts, from when it takes connections on the port.

    Raises RuntimeError with its last words where it does not.
    """
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(list(words), env=dict(env), stdout=said, stderr=said)
        try:
            until = time.monotonic() + seconds
            while not _listens(port):
                if child.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    words_ = said.read().decode(errors="replace")[-2000:]
                    raise RuntimeError(f"{words[0]} did not start:\n{words_}")
                time.sleep(0.1)
            yield psutil.Process(child.pid)
        finally:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(20)
            child.kill()
            child.wait(20)


def _listens(port: int) -> bool:
    try:
        create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor seconds that a process and its children have used."""
    family = (process, *process.children(recursive=True))
    return sum(sum(each.cpu_times()[:2]) for each in family)
