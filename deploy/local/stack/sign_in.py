"""`make token PERSONA=maya`: an access token for curl, over the provider's HTTP (device grant,
answered at once).
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from .report import read_status

SCOPE = "openid profile email groups"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
AUDIENCES = ("quartermaster-api", "quartermaster-gateway")


class Refused(Exception):
    """The provider said no; the message is its own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command."""
    parser.add_argument("--persona", required=True, help="user name, as maya")
    parser.add_argument(
        "--audience", action="append", choices=AUDIENCES, help="may be given twice; default: both"
    )
    parser.add_argument("--team", default="", help="for a person with several teams")


def token(state: Path, options: argparse.Namespace) -> int:
    """Print an access token."""
    status = read_status(state)
    if status is None:
        print(f"No stack runs in {state}. Start it with: make up", file=sys.stderr)
        return 1
    try:
        print(
            access_token(
                status["issuer"], options.persona, options.audience or AUDIENCES, options.team
            )
        )
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def access_token(
    issuer: str, persona: str, audiences: tuple[str, ...] | list[str], team: str = ""
) -> str:
    """Return a persona's access token from the local provider. Raises Refused."""
    fields = [
        ("client_id", "quartermaster-cli"),
        ("scope", SCOPE),
        *(("resource", name) for name in audiences),
    ]
    known = json.loads(_get(f"{issuer}/.well-known/openid-configuration"))
    device = json.loads(_post(known["device_authorization_endpoint"], fields))
    answer = [
        ("user_code", device["user_code"]),
        ("username", persona),
        ("team", team),
        ("decision", "allow"),
    ]
    if "Allowed" not in _post(device["verification_uri"], answer):
        raise Refused(f"{persona} has several teams: name one with TEAM= (--team)")
    grant = [
        ("grant_type", DEVICE_CODE),
        ("device_code", device["device_code"]),
        ("client_id", "quartermaster-cli"),
    ]
    answered: dict[str, Any] = json.loads(_post(known["token_endpoint"], grant))
    return str(answered["access_token"])


def _get(url: str) -> str:
    return _ask(url, None)


def _post(url: str, fields: list[tuple[str, str]]) -> str:
    filled = [(name, value) for name, value in fields if value]
    return _ask(url, urllib.parse.urlencode(filled).encode())


def _ask(url: str, body: bytes | None) -> str:
    try:
        # the issuer's own address
        with urllib.request.urlopen(url, body, timeout=10) as answer:  # noqa: S310
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        raise Refused(f"{urllib.parse.urlsplit(url).path}: {error.code} {text[:300]}") from None
    except urllib.error.URLError as error:
        raise Refused(f"{url}: {error.reason}") from None
