"""Asking for packs, making them as a worker does, and verifying them as an auditor does."""

import subprocess
import sys

from django.utils import timezone

from apps.oversight.evidence import storage
from apps.oversight.evidence.reconcile import make_evidence


def made(pack, sources):
    """Have a worker make a pack; return its bytes."""
    assert make_evidence(pack=pack, sources=sources, now=timezone.now())
    pack.refresh_from_db()
    assert (pack.status, pack.message) == ("MADE", "")
    with storage.stored(sources.archive, pack) as file:
        return file.read()


def verify(place, key, *more):
    """Run a pack's own verifier with nothing installed: -S leaves all packages out."""
    command = [sys.executable, "-I", "-S", "verifier/verify.py", ".", "--key", str(key), *more]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, env={})
    assert done.stderr == ""
    return done.returncode, done.stdout
