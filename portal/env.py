"""Reads settings from the environment. A missing or odd value stops start-up and names the
variable.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured

from apps.manifests import cel, scaling

MISSING = object()
_HOST = re.compile(r"\.?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ADDRESS = r"[^\s<>@,\"]+@[^\s<>@,\"]+"
_SENDER = re.compile(
    rf"(?P<name>[^<>@\"\n\r]*[^<>@\"\s])\s*<(?P<address>{_ADDRESS})>|(?P<alone>{_ADDRESS})"
)
# IAM takes 64 letters, and a model's name has 36 at most
_ROLE_RULE = re.compile(r"arn:[a-z-]+:iam::[0-9]{12}:role/([\w+=,.@-]+/)*[\w+=,.@-]{0,28}\{model\}")
_PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


def env_str(name: str, default: object = MISSING) -> str:
    """Return the variable's text. Raises ImproperlyConfigured when it is missing and has no
    default.
    """
    value = os.environ.get(name)
    if value:
        return value
    if default is MISSING:
        raise ImproperlyConfigured(f"{name} is not set. See the table of variables in README.md.")
    return str(default)


def env_bool(name: str, default: bool) -> bool:
    """Return True or False; anything but those two words stops start-up."""
    value = os.environ.get(name, "")
    if value in ("True", "False"):
        return value == "True"
    if value:
        raise ImproperlyConfigured(f"{name} must be True or False, not {value!r}.")
    return default


def env_int(name: str, default: int, *, minimum: int = 0, maximum: int | None = None) -> int:
    """Return a whole number of at least `minimum`, and at most `maximum` where there is one."""
    value = os.environ.get(name, "")
    if not value:
        return default
    if not value.isdecimal() or int(value) < minimum:
        raise ImproperlyConfigured(
            f"{name} must be a whole number of at least {minimum}, not {value!r}."
        )
    if maximum is not None and int(value) > maximum:
        raise ImproperlyConfigured(f"{name} must be at most {maximum}, not {value!r}.")
    return int(value)


def env_decimal(name: str, default: str) -> Decimal:
    """Return a decimal number that is not below 0."""
    value = env_str(name, default)
    try:
        found = Decimal(value)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or found < 0:
        raise ImproperlyConfigured(f"{name} must be a number that is not below 0, not {value!r}.")
    return found


def env_choice(name: str, default: str, choices: Sequence[str]) -> str:
    """Return one of some words."""
    value = env_str(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def env_names(name: str) -> frozenset[str]:
    """Return the words of a list with commas; none where it is empty."""
    parts = (part.strip() for part in env_str(name, "").split(","))
    return frozenset(part for part in parts if part)


def env_groups(name: str, default: str) -> dict[str, str]:
    """Return the role of each group of the identity provider, written "GROUP=ROLE, GROUP=ROLE". A
    group is a name or an id, and several may give one role. default: names every role that there
    is.
    """
    known = _roles_by_group(name, default).values()
    found = _roles_by_group(name, env_str(name, default))
    if odd := sorted(set(found.values()) - set(known)):
        raise ImproperlyConfigured(
            f"{name}: there is no role {odd[0]!r}. Roles are {', '.join(sorted(set(known)))}."
        )
    return found


def _roles_by_group(name: str, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        group, _, role = (word.strip() for word in part.rpartition("="))
        if not group or group in found:
            raise ImproperlyConfigured(
                f"{name} must be GROUP=ROLE with commas, each group once, not {part!r}."
            )
        found[group] = role
    return found


def env_hosts(name: str) -> frozenset[str]:
    """Return names of hosts, written "portal.example.com, .internal": with a dot in front, all
    below it; none where it is empty. "*" is no name: it would open pages to every host.
    """
    found = env_names(name)
    if odd := sorted(host for host in found if not _HOST.fullmatch(host)):
        raise ImproperlyConfigured(
            f"{name} must be names of hosts with commas, without scheme or port, not {odd[0]!r}."
        )
    return found


def env_issuer(name: str, default: str, *, apart_from: str) -> str:
    """Return the address of who signs tokens. apart_from: who signs people's; were it the same,
    their tokens would be taken for these.
    """
    value = env_url(name, default)
    if value == apart_from:
        raise ImproperlyConfigured(f"{name} must not be the issuer of people's tokens.")
    return value


def env_image(name: str, default: str, *, pinned: bool) -> str:
    """Return a container image. pinned: it must be named by its digest, for a tag may be moved
    after somebody approved it.
    """
    value = env_str(name, default)
    if pinned and not _PINNED.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name} must name the image by its digest (REPOSITORY@sha256:…), not {value!r}."
        )
    return value


def env_role_rule(name: str) -> str:
    """Return by which rule the IAM role of each model is called, `{model}` for its name; "" where
    the variable is not set. One role for all models would read them all.
    """
    value = env_str(name, "")
    if value and not _ROLE_RULE.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name} must be the address of a role with {{model}} at the end of its name, at most "
            f"28 letters before it, as arn:aws:iam::111122223333:role/quartermaster-reads-{{model}}"
            f", not {value!r}."
        )
    return value


def env_percents(name: str, default: str) -> tuple[int, ...]:
    """Return whole percents that rise to 100, written "10,50,100"."""
    value = env_str(name, default)
    parts = [part.strip() for part in value.split(",")]
    found = tuple(int(part) for part in parts if part.isdecimal())
    rising = all(low < high for low, high in zip((0, *found), found, strict=False))
    if len(found) != len(parts) or not rising or found[-1] != 100:
        raise ImproperlyConfigured(
            f"{name} must be percents that rise to 100, as 10,50,100, not {value!r}."
        )
    return found


def env_url(
    name: str, default: object = MISSING, *, schemes: tuple[str, ...] = ("http", "https")
) -> str:
    """Return an address without a trailing slash; its scheme must be one of `schemes`."""
    value = env_str(name, default)
    if value and value.split("://", 1)[0] not in schemes:
        raise ImproperlyConfigured(f"{name} must start with one of {', '.join(schemes)} and ://.")
    return value.rstrip("/")


def env_listen(name: str, default: object = MISSING) -> str:
    """Return an address to listen on, "host:port"; a host of IPv6 stands in brackets."""
    value = env_str(name, default)
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ImproperlyConfigured(f"{name} must be host:port, as 0.0.0.0:9003, not {value!r}.")
    return value


def env_sender(name: str, default: str) -> tuple[str, str]:
    """Return a name and an address, written "Quartermaster <quartermaster@example.com>"; the name
    is "" where it is left out.
    """
    value = env_str(name, default)
    found = _SENDER.fullmatch(value)
    if found is None:
        raise ImproperlyConfigured(
            f"{name} must be a name and an address, as Quartermaster <quartermaster@example.com>, "
            f"not {value!r}."
        )
    return found["name"] or "", found["address"] or found["alone"]


def env_hours(name: str) -> str:
    """Return hours written as "mon-fri 07:30-19:00 America/New_York"; "" where none are set."""
    value = env_str(name, "")
    try:
        return str(scaling.pre_warm_of(value)) if value else ""
    except scaling.BadScaling as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def env_cost(name: str, default: str) -> str:
    """Return a cost expression of Envoy AI Gateway (CEL) that type-checks and gives a cost for
    every kind of call.
    """
    try:
        return cel.checked(env_str(name, default))
    except cel.BadExpression as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def env_store(name: str) -> str:
    """Return the address of a ClickHouse database, a secret because a password is in it; "" where
    none is named.
    """
    value = env_secret(name, "")
    parts = urlsplit(value)
    if value and (parts.scheme != "clickhouse" or not parts.hostname):
        raise ImproperlyConfigured(
            f"{name} must be the address of a ClickHouse database, "
            "as clickhouse://user:password@host:8443/database?secure=true."
        )
    return value


def env_zone(name: str, default: str) -> ZoneInfo:
    """Return a time zone by its IANA name."""
    value = env_str(name, default)
    try:
        return ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise ImproperlyConfigured(
            f"{name} must be a time zone, as America/New_York, not {value!r}."
        ) from None


def env_networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return networks of addresses, written "10.20.0.0/16, fd00::/8"; none where it is empty."""
    try:
        return tuple(ip_network(part) for part in sorted(env_names(name)))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must be networks with commas, as 10.20.0.0/16: {error}."
        ) from None


@dataclass(frozen=True)
class MailServer:
    """A mail server, as Django names its parts. host: "" where there is none."""

    host: str
    port: int
    user: str
    password: str
    is_ssl: bool
    is_start_tls: bool


def env_mail(name: str) -> MailServer:
    """Return the mail server of smtp://user:password@host:port?tls=start or smtps://…, a secret
    because a password is in it.
    """
    value = env_secret(name, "")
    parts = urlsplit(value)
    tls = parse_qs(parts.query).get("tls", [""])[0]
    try:
        port = parts.port
    except ValueError:
        port = -1
    known = parts.scheme in ("smtp", "smtps") and tls in ("", "start") and port != -1
    if value and not (known and parts.hostname):
        raise ImproperlyConfigured(
            f"{name} must be the address of a mail server, as smtp://user:password@host:587?tls=start."
        )
    return MailServer(
        host=parts.hostname or "",
        port=port or (465 if parts.scheme == "smtps" else 25),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        is_ssl=parts.scheme == "smtps",
        is_start_tls=tls == "start",
    )


def env_secret(name: str, default: object = MISSING) -> str:
    """Return a secret: what NAME says, or what is in the file that NAME_FILE names.

    It is read at start-up; the files of logins that rotate are read again (portal/stores.py).
    Raises ImproperlyConfigured where both are set, and for a file that is empty or not readable.
    """
    path = env_file_of(name)
    if not path:
        return env_str(name, default)
    try:
        value = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {why}.") from error
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names an empty file.")
    return value


def env_file_of(name: str) -> str:
    """Return the path of the file that a secret is in; "" where its variable holds it itself."""
    path = os.environ.get(f"{name}_FILE", "")
    if path and os.environ.get(name):
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: set one of them.")
    return path
