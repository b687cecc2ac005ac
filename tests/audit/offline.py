"""The offline verifier as tests call it: a program that knows nothing of the portal."""

import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "deploy/verifier"
PROGRAM = FOLDER / "verify.py"


class Inconsistent(Exception):
    """A proof does not lead where it should."""


# it finds its own modules by these names
sys.path.append(str(FOLDER))
VERIFIER = importlib.import_module("verify")
RECORD = importlib.import_module("record")
KEYS = importlib.import_module("keys")
PACK = importlib.import_module("pack")


def check_inclusion(*, leaf, index, size, path, expected):
    """Raise Inconsistent unless the proof leads from the leaf to the expected root."""
    if RECORD.inclusion_root(leaf, index, size, list(path)) != expected:
        raise Inconsistent


def check_consistency(*, old, old_root, new, new_root, path):
    """Raise Inconsistent unless the proof leads to both roots."""
    head = RECORD.Head("", old, old_root)
    if RECORD.consistency_roots(head, new, list(path)) != (old_root, new_root):
        raise Inconsistent
