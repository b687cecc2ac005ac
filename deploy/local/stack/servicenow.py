"""The stack's ServiceNow as a part (the program itself is `deploy/local/doubles/servicenow`), with
its page to act as the change manager.

SERVICENOW_URL names a real one; SERVICENOW=none leaves it out, and promotions then need no change.
"""

from __future__ import annotations

from pathlib import Path

from . import credentials, probes
from .part import Context, Part

LOOK_SECONDS = "3"  # nobody waits half a minute to see an approval here


def address(context: Context) -> str:
    """Return where it is, for the product and for people."""
    return f"http://127.0.0.1:{context.ports('servicenow', 8095)}"


def is_ours(context: Context) -> bool:
    """Tell whether this stack has our double."""
    return not context.env.get("SERVICENOW_URL") and context.env.get("SERVICENOW") != "none"


def environment(context: Context) -> dict[str, str]:
    """Return what the product needs to use it; nothing where it is not ours."""
    if not is_ours(context):
        return {}
    return {
        "SERVICENOW_URL": address(context),
        "SERVICENOW_CLIENT_SECRET_FILE": str(_secret(context)),
        "SERVICENOW_LOOK_SECONDS": LOOK_SECONDS,
    }


def parts(context: Context, portal: str) -> list[Part]:
    """Return the double; nothing where a real one takes its place. portal: its address."""
    if not is_ours(context):
        return []
    port = context.ports("servicenow", 8095)
    return [
        Part(
            name="servicenow",
            command=[context.python, "-m", "deploy.local.doubles.servicenow"],
            address=address(context),
            ready=lambda: probes.http_ok(port, "/healthz"),
            env={
                "SERVICENOW_ADDRESS": address(context),
                "SERVICENOW_STATE": str(context.folder("servicenow")),
                "SERVICENOW_CLIENT_SECRET_FILE": str(_secret(context)),
                "SERVICENOW_PORTAL_URL": portal,
            },
        )
    ]


def _secret(context: Context) -> Path:
    return credentials.secret_file(context, "servicenow-client-secret")
