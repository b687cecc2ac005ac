"""Rules of pipelines for tests, claims as GitHub Actions writes them, and an issuer of tokens."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.conf import settings
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import RSAKey

from apps.accounts.models import User
from apps.accounts.pipelines import actions
from apps.accounts.pipelines.models import PipelineChange, PipelineRule
from apps.accounts.pipelines.rules import Pusher, TrustRule, subjects_of
from apps.common.sign_ins import JUST_NOW

NUMBERS = {"developer": "77", "alice": "101", "bob": "102"}
RULE = TrustRule(
    issuer="https://token.actions.githubusercontent.com",
    audience="http://testserver",
    repository="meridian/extract-models",
    repository_id="456",
    owner_id="123",
    subjects=("repo:meridian/extract-models:environment:release",),
    ref="refs/heads/main",
    environment="release",
    workflow=".github/workflows/publish-model.yml",
    events=("push", "workflow_dispatch"),
    may=("publish", "evaluate", "propose"),
    models=("extract",),
    pushers=(Pusher("octo-dev", "77", "developer"),),
)


def rule(**changes: Any) -> TrustRule:
    """Return the usual rule with changes; both subjects of it where none is named."""
    changes = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    made = replace(RULE, **changes)
    return made if "subjects" in changes else replace(made, subjects=subjects_of(made))


def pusher(person: User) -> Pusher:
    """Return a person with an account at GitHub."""
    number = NUMBERS.get(person.username, str(10_000 + person.pk))
    return Pusher(f"octo-{person.username}", number, person.username)


def propose(name: str, *, requester: User, team: Any, **changes: Any) -> PipelineChange:
    """Propose a rule."""
    return actions.propose_rule(
        name=name,
        team=team,
        rule=rule(audience=settings.PIPELINE_AUDIENCE, issuer=settings.PIPELINE_ISSUER, **changes),
        justification="As the platform board decided.",
        requester=requester,
        now=timezone.now(),
    )


def let_in(name: str, *, approver: User, **asked: Any) -> PipelineRule:
    """Propose a rule and put it in force."""
    approver.sign_in = JUST_NOW
    change = propose(name, **asked)
    return actions.approve_rule(
        change=change, approver=approver, reason="Compared with GitHub.", now=timezone.now()
    )


def claims(**changes: Any) -> dict[str, Any]:
    """Return what a token of the usual rule's workflow says."""
    now = int(time.time())
    usual = {
        "jti": str(uuid.uuid4()), "iss": RULE.issuer, "aud": RULE.audience, "iat": now,
        "nbf": now - 5, "exp": now + 300, "sub": RULE.subjects[0],
        "repository": RULE.repository, "repository_id": RULE.repository_id,
        "repository_owner": "meridian", "repository_owner_id": RULE.owner_id,
        "ref": RULE.ref, "ref_type": "branch", "environment": RULE.environment,
        "workflow_ref": f"{RULE.repository}/{RULE.workflow}@{RULE.ref}",
        "event_name": "push", "actor": "octo-dev", "actor_id": "77", "head_ref": "",
        "base_ref": "", "run_id": "9001", "run_number": "12", "run_attempt": "1",
        "sha": "c" * 40, "runner_environment": "github-hosted", "repository_visibility": "private",
    }  # fmt: skip
    said = usual | changes
    return said | {"job_workflow_ref": changes.get("job_workflow_ref", said["workflow_ref"])}


class Issuer:
    """Signs tokens as GitHub Actions does, and gives them to jobs that ask (over HTTP)."""

    def __init__(self, url: str) -> None:
        self.url, self.key = url, RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.says: dict[str, Any] = {}  # what the running job's claims say beside the usual

    def token(self, **changes: Any) -> str:
        """Return a signed token."""
        said = claims(**({"iss": self.url} | self.says | changes))
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, said, self.key)

    def environment(self) -> dict[str, str]:
        """Return what a job that may write id-tokens has in its environment."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-this-job",
        }


@contextmanager
def issuer() -> Iterator[Issuer]:
    """Run an issuer on a free port: discovery without endpoints to sign in, keys, and tokens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.issuer = Issuer(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.issuer  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer as GitHub's issuer does."""
        found: Issuer = self.server.issuer  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        if path == "/.well-known/openid-configuration":
            self._answer({"issuer": found.url, "jwks_uri": f"{found.url}/.well-known/jwks"})
        elif path == "/.well-known/jwks":
            self._answer({"keys": [found.key.as_dict(private=False)]})
        elif self.headers["Authorization"] == "Bearer of-this-job":
            audience = dict(pair.split("=", 1) for pair in query.split("&")).get("audience", "")
            wanted = audience.replace("%3A", ":").replace("%2F", "/")
            self._answer({"value": found.token(aud=wanted)})
        else:
            self._answer({"message": "Bad credentials"}, 401)

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
