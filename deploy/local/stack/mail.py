"""The stack's mail server and inbox as a part (the program is `deploy/local/doubles/mail`)."""

from __future__ import annotations

from . import probes
from .part import Context, Part

REPLACED_BY = "MAIL_URL"


def environment(context: Context) -> dict[str, str]:
    """Return what the product reads: where mail goes, and that webhooks may be on this machine."""
    return {
        "MAIL_URL": f"smtp://127.0.0.1:{context.ports('mail', 8025)}",
        "WEBHOOK_HOSTS": "127.0.0.1,localhost",
        "WEBHOOK_NETWORKS": "127.0.0.1/32,::1/128",
    }


def address(context: Context) -> str:
    """Return the inbox's address; "" where a mail server of one's own takes its place."""
    if context.env.get(REPLACED_BY):
        return ""
    return f"http://127.0.0.1:{context.ports('inbox', 8026)}"


def part(context: Context) -> Part:
    """Return our mail server; MAIL_URL replaces it."""
    web = context.ports("inbox", 8026)
    return Part(
        name="inbox",
        command=[context.python, "-m", "deploy.local.doubles.mail"],
        address=address(context),
        ready=lambda: probes.http_ok(web, "/healthz"),
        env={
            "MAIL_SMTP_PORT": str(context.ports("mail", 8025)),
            "MAIL_WEB_PORT": str(web),
            "MAIL_STATE": str(context.folder("mail")),
        },
        replaced_by=REPLACED_BY,
    )
