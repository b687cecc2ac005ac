"""The offline verifier as tests call it: a program that knows nothing of the portal."""

import importlib.util
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "deploy/verifier/verify.py"


class Inconsistent(Exception):
    """A proof does not lead where it should."""


def load():
    """Return the program as a module."""
    spec = importlib.util.spec_from_file_location("offline_verifier", PROGRAM)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


VERIFIER = load()


def check_inclusion(*, leaf, index, size, path, expected):
    """Raise Inconsistent unless the proof leads from the leaf to the expected root."""
    if VERIFIER.inclusion_root(leaf, index, size, list(path)) != expected:
        raise Inconsistent


def check_consistency(*, old, old_root, new, new_root, path):
    """Raise Inconsistent unless the proof leads to both roots."""
    head = VERIFIER.Head("", old, old_root)
    if VERIFIER.consistency_roots(head, new, list(path)) != (old_root, new_root):
        raise Inconsistent
