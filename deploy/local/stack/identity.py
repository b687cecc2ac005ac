"""The stack's identity provider as a part (the program itself is `deploy/local/doubles/idp`)."""

from __future__ import annotations

from . import credentials, probes
from .part import Context, Part


def idp_part(context: Context) -> Part:
    """Return our identity provider; OIDC_ISSUER replaces it."""
    port = context.ports("idp", 8090)
    portal = f"127.0.0.1:{context.ports('portal', 8000)}"
    env = {
        "IDP_ISSUER": f"http://127.0.0.1:{port}",
        "IDP_STATE": str(context.folder("idp")),
        "IDP_PORTAL_URLS": f"http://{portal} http://{portal.replace('127.0.0.1', 'localhost')}",
        "IDP_CLIENT_SECRET_FILE": str(credentials.secret_file(context, "oidc-client-secret")),
    }
    for name in ("IDP_TOKEN_SECONDS",):
        if context.env.get(name):
            env[name] = context.env[name]
    return Part(
        name="idp",
        command=[context.python, "-m", "deploy.local.doubles.idp"],
        address=env["IDP_ISSUER"],
        ready=lambda: probes.http_ok(port, "/healthz"),
        env=env,
        replaced_by="OIDC_ISSUER",
    )
