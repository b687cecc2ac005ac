"""A job: makes the keys of the local Vault, and for each process that uses one a token that may use
its own key alone, new at each start. Safe to run again, also where it died halfway.

`VAULT_ADDR=… python -m deploy.local.stack.vault_keys STATE`. The root token lives only while keys,
policies and the job's own token are made, then it is revoked.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hvac
from hvac.exceptions import Forbidden, InternalServerError, InvalidPath, VaultDown

from .credentials import write_private

POLICIES = Path(__file__).resolve().parents[3] / "deploy" / "vault" / "policies"
# process: its key, and the name of the file with the key's public half
KEYS = {"registry": ("model-registry", "signing-key"), "sealer": ("audit-record", "audit-key")}
# the key that wraps those of prompts, and the processes that handle them
WRAPPING_KEY = "prompt-record"
WRAP = ("gate", "reader")
USERS = (*KEYS, *WRAP)
OWN = "local-setup"
OWN_POLICY = "\n".join(
    f'path "{path}" {{ capabilities = [{may}] }}'
    for path, may in [
        *((f"transit/keys/{key}", '"read"') for key, _ in KEYS.values()),
        *((f"auth/token/create/{who}", '"update"') for who in USERS),
        *((f"sys/policy/{who}", '"update"') for who in USERS),
    ]
)
LASTS = "87600h"
LEADS_WITHIN_SECONDS = 20.0


def main(state: Path, address: str) -> None:
    """Make what is missing, and new tokens."""
    secrets = state / "secrets"
    # before anything is made that has to be kept there
    secrets.mkdir(exist_ok=True, mode=0o700)
    client: Any = hvac.Client(url=address, timeout=30)
    root, own = secrets / "vault-root-token", secrets / "vault-setup-token"
    if not client.sys.is_initialized():
        made = client.sys.initialize(
            secret_shares=None, secret_threshold=None, recovery_shares=1, recovery_threshold=1
        )
        write_private(root, made["root_token"])
    if root.exists():
        client.token = root.read_text()
        # refused: a run that died before it took the file away had revoked the token
        with suppress(Forbidden):
            until_it_leads(lambda: set_up(client, own))
            client.auth.token.revoke_self()
        root.unlink()
    if not own.exists():
        raise SystemExit("nobody has a token for the local Vault any more: run `make reset`")
    client.token = own.read_text()
    until_it_leads(lambda: write_policies(client))
    for key, name in KEYS.values():
        write_private(secrets / f"{name}.pub.pem", public_keys(client, key) + former(secrets, name))
    try:
        for who in USERS:
            token = client.auth.token.create(role_name=who)["auth"]["client_token"]
            write_private(secrets / f"vault-{who}-token", token)
    except Forbidden:
        raise SystemExit(
            f"this Vault is older than the key {WRAPPING_KEY}: run `make reset`"
        ) from None
    print("made tokens for " + ", ".join(USERS))


def set_up(client: Any, own: Path) -> None:
    """Make the transit engine, the keys, a role for each token, and the job's own token."""
    if "transit/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("transit", path="transit")
    kinds = {key: "ecdsa-p256" for key, _ in KEYS.values()} | {WRAPPING_KEY: "aes256-gcm96"}
    for key, kind in kinds.items():
        try:
            client.secrets.transit.read_key(name=key)
        except InvalidPath:
            client.secrets.transit.create_key(name=key, key_type=kind)
    for who in USERS:
        client.auth.token.create_or_update_role(
            who, allowed_policies=[who], orphan=True, renewable=True, token_explicit_max_ttl=LASTS
        )
    client.sys.create_or_update_policy(OWN, OWN_POLICY)
    token = client.auth.token.create(
        policies=[OWN], no_parent=True, no_default_policy=True, ttl=LASTS, display_name=OWN
    )
    write_private(own, token["auth"]["client_token"])


def write_policies(client: Any) -> None:
    """Bring the policies to this checkout's."""
    for who in USERS:
        client.sys.create_or_update_policy(who, (POLICIES / f"{who}.hcl").read_text())


def public_keys(client: Any, key: str) -> str:
    """Return every version's public key, the newest first."""
    versions = client.secrets.transit.read_key(name=key)["data"]["keys"]
    newest_first = sorted(versions, key=int, reverse=True)
    return "".join(versions[number]["public_key"].rstrip() + "\n" for number in newest_first)


def former(secrets: Path, name: str) -> str:
    """Return the public half of the key that was a file before this stack had a Vault; "" where
    there was none.
    """
    path = secrets / f"{name}.pem"
    if not path.exists():
        return ""
    from .credentials import public_half

    return public_half(path.read_bytes())


def until_it_leads(do: Callable[[], None]) -> None:
    """Do something once the server leads its cluster of one, which takes a moment after a start."""
    until = time.monotonic() + LEADS_WITHIN_SECONDS
    while True:
        try:
            return do()
        except (InternalServerError, VaultDown) as error:
            if time.monotonic() > until:
                raise SystemExit(f"the local Vault does not lead: {error}") from None
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ["VAULT_ADDR"])
