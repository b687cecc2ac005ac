"""The environment of every test run, loaded as a pytest plugin before Django reads its settings.

Run tests as `python -m pytest`: the project's root is then importable this early. DATABASE_URL and
MIGRATIONS_DATABASE_URL may name a server that runs already, as its portal's role and as the owner
(who makes databases); DATABASE_URL alone is taken for both, and what needs two roles is skipped.
Without either the run starts a PostgreSQL of its own and stops it at its end.
"""

import atexit
import base64
import os
import shutil
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.postgres import start

STATE = Path(tempfile.mkdtemp(prefix="qm-tests-"))
# runs last: what is started later stops first
atexit.register(shutil.rmtree, STATE, ignore_errors=True)


def _signing_key(name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    path = STATE / name
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(path)


def _public_key(name: str) -> str:
    private = serialization.load_pem_private_key((STATE / name).read_bytes(), None)
    path = STATE / f"public-{name}"
    path.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return str(path)


def _wrapping_key(name: str) -> str:
    path = STATE / name
    path.write_text(base64.b64encode(os.urandom(32)).decode())
    return str(path)


def configure() -> None:
    """Set what the settings need, where the caller did not."""
    (STATE / "ingest-token").write_text("ingest-token-of-the-tests\n")
    (STATE / "scaling-token").write_text("scaling-token-of-the-tests\n")
    (STATE / "engine-key").write_text("engine-key-of-the-tests\n")
    defaults = {
        "SECRET_KEY": "only-for-tests",
        "PORTAL_URL": "http://testserver",
        # nobody listens: a dead broker must never fail a write
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "OIDC_ISSUER": "http://127.0.0.1:2",
        "OIDC_CLIENT_SECRET": "only-for-tests",
        # a run takes longer than the usual quarter of an hour; stale sign-ins have tests of theirs
        "STEP_UP_SECONDS": "86400",
        "GATEWAY_JWKS_URI": "http://127.0.0.1:2/keys",
        "SIGNING_KEY_FILE": _signing_key("signing.pem"),
        "AUDIT_SIGNING_KEY_FILE": _signing_key("audit.pem"),
        "AUDIT_PUBLIC_KEYS_FILE": _public_key("audit.pem"),
        "PROMPT_KEY_FILE": _wrapping_key("prompts.key"),
        "GITOPS_REMOTE": str(STATE / "gitops.git"),
        "GITOPS_WORKDIR": str(STATE / "gitops-work"),
        "GATEWAY_URL": "http://127.0.0.1:3",
        "USAGE_INGEST_TOKEN_FILE": str(STATE / "ingest-token"),
        "SCALING_TOKEN_FILE": str(STATE / "scaling-token"),
        "ENGINE_KEY_FILE": str(STATE / "engine-key"),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "AWS_ACCESS_KEY_ID": "tests",  # boto3 would ask the machine's metadata service for a role
        "AWS_SECRET_ACCESS_KEY": "only-for-tests",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if "DATABASE_URL" not in os.environ:
        server = start()
        os.environ["DATABASE_URL"] = server.portal
        os.environ["MIGRATIONS_DATABASE_URL"] = server.owner


configure()
