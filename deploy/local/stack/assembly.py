"""Puts one stack together: where it lives, and every part of it from the folders that describe
them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import bills, credentials, mail, postgres, product, s3, servicenow, valkey, vault
from .identity import idp_part
from .part import Context, Part
from .ports import PortBook

ROOT = Path(__file__).resolve().parents[3]
MARKER = ".quartermaster-state"  # only a folder with this file in it is ever removed


def state_folder(env: Mapping[str, str], given: str | None = None) -> Path:
    """Return the state folder: given, or QUARTERMASTER_STATE, or `.state` in the checkout."""
    return Path(given or env.get("QUARTERMASTER_STATE") or ROOT / ".state").expanduser().resolve()


def prepare_state(state: Path) -> None:
    """Make the state folder, readable by its owner only, and mark it as ours."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    (state / MARKER).touch(mode=0o600)


def make_context(
    state: Path, env: Mapping[str, str], binaries: Path, *, running: bool = False
) -> tuple[Context, PortBook]:
    """Return where this stack lives, with its ports. running: it runs, on the ports it has."""
    own_range = env.get("QUARTERMASTER_PORTS") == "own"
    ports = PortBook(state / "ports.json", own_range=own_range, running=running)
    return Context(ROOT, state, binaries, sys.executable, ports, dict(env)), ports


def all_parts(context: Context) -> list[Part]:
    """Return every part of the stack."""
    parts = [postgres.part(context), valkey.part(context), idp_part(context)]
    parts.append(mail.part(context))
    parts += product.parts(context)
    parts += s3.parts(context) + bills.parts(context) + vault.parts(context)
    parts += servicenow.parts(context, product.portal_url(context))
    return parts + _parts_of_other_folders(context)


def _parts_of_other_folders(context: Context) -> list[Part]:
    found: list[Part] = []
    for folder in ("cluster", "kubelet", "gateway"):
        if (ROOT / "deploy" / "local" / folder / "parts.py").exists():
            found += importlib.import_module(f"deploy.local.{folder}.parts").parts(context)
    return found


def facts(context: Context, ports: PortBook) -> dict[str, Any]:
    """Return what `make up` tells people beside the parts: the portal's address, what moved."""
    return {
        "portal": product.portal_url(context),
        "issuer": product.issuer(context),
        # where people act as the change manager
        "change_manager": servicenow.address(context) if servicenow.is_ours(context) else "",
        "inbox": mail.address(context),
        "state": str(context.state),
        "binaries": str(context.binaries),
        "notes": ports.moves,
        # names alone: values may be secrets
        "replaced": [name for name in product.PASSED if context.env.get(name)],
    }


def caller_environment() -> dict[str, str]:
    """Return the environment that the stack was called with."""
    return dict(os.environ)


def start_secrets(context: Context) -> None:
    """Make what is missing and change what changes with each start."""
    credentials.rotate_usage_ingest_token(context)
