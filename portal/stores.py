"""What the environment says of the database and the broker: where they are, how they are trusted,
and who logs in. What is wrong in an address stops start-up and names its variable, and tells
nothing of it, for a password may be in it.

A login rotates while the portal runs. So its file is read again for each new connection
(apps/integrations/postgres/login.py, apps/integrations/broker.py); what is read here only has to
be there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlencode, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

from portal.env import MISSING, env_file_of, env_secret

PASSWORD = "password"  # noqa: S105 - the usual way to log in
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey")
# how long a statement of a session may take, and wait for a lock, in milliseconds
LIMITS = {"statement_timeout": "30000", "lock_timeout": "10000"}
# both from the start of a session, where the session is ours
STARTS_WITH = {"options": " ".join(f"-c {name}={value}" for name, value in LIMITS.items())}
CONNECT_TIMEOUT = 5  # seconds
BROKER_LOGIN = "apps.integrations.broker.Login"


def env_database(
    name: str,
    default: object = MISSING,
    *,
    beside: str,
    login: str = PASSWORD,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a PostgreSQL address says, in Django's words: NAME, USER, PASSWORD, HOST, PORT
    and OPTIONS, with `options` among them.

    Each but OPTIONS is "" where it is not said; {} where the variable is not set and `default` is
    "". beside: the variable of a password that is not in the address; login: "password" or
    "iam".
    """
    url = _address(name, env_secret(name, default), ("postgres", "postgresql"))
    if not url.scheme:
        return {}
    asked = _parameters(name, url, ("host", "sslmode", *FILES))
    _check_tls(name, asked, login)
    host = unquote(url.hostname or "") or asked.pop("host", "")
    own = unquote(url.password or "") if login == PASSWORD else ""
    given = env_secret(beside, "") if login == PASSWORD else ""
    if own and given:
        raise ImproperlyConfigured(f"{name} has a password, and {beside} is another: keep one.")
    found = {"connect_timeout": CONNECT_TIMEOUT, **options, **asked}
    return {
        "NAME": unquote(url.path.lstrip("/")),
        "USER": unquote(url.username or ""),
        "PASSWORD": own or given,
        "HOST": host,
        "PORT": str(url.port or ""),
        "OPTIONS": found | _login(name, beside, login, is_own=bool(own)),
    }


def _login(name: str, beside: str, login: str, *, is_own: bool) -> dict[str, Any]:
    """Return where the password of a new connection is, for apps/integrations/postgres/login.py."""
    if login != PASSWORD:
        return {"iam": True}
    if is_own:
        path = env_file_of(name)
        return {"address_file": path} if path else {}
    path = env_file_of(beside)
    return {"password_file": path} if path else {}


def _check_tls(name: str, asked: Mapping[str, str], login: str) -> None:
    mode = asked.get("sslmode", "")
    if mode and mode not in SSL_MODES:
        raise ImproperlyConfigured(f"{name}: sslmode must be one of {', '.join(SSL_MODES)}.")
    if mode.startswith("verify-") and not asked.get("sslrootcert"):
        raise ImproperlyConfigured(
            f"{name}: sslmode={mode} needs sslrootcert: a file, or system for the machine's own."
        )
    if login != PASSWORD and mode != "verify-full":
        raise ImproperlyConfigured(
            f"{name}: DATABASE_LOGIN=iam needs sslmode=verify-full, or whoever answers in the "
            f"database's place gets a token that the database takes."
        )
    for each in FILES:
        path = asked.get(each, "")
        if path and path != "system" and not Path(path).is_file():
            raise ImproperlyConfigured(f"{name}: there is no file {path}, which {each} names.")


def check_same(direct: Mapping[str, Any], pooled: Mapping[str, Any]) -> None:
    """Raise ImproperlyConfigured where two addresses lead to two databases, or to two roles."""
    for what in ("NAME", "USER"):
        if direct and direct[what] != pooled[what]:
            raise ImproperlyConfigured(
                f"DATABASE_DIRECT_URL and DATABASE_URL must name the same database and role, "
                f"not {direct[what]} and {pooled[what]}."
            )


@dataclass(frozen=True)
class Broker:
    """A broker. address: without the login; login: as apps/integrations/broker.py reads it."""

    address: str
    for_celery: str
    login: dict[str, str]


def env_broker(name: str, *, beside: str) -> Broker:
    """Return where the broker is and who logs in.

    redis://USER@HOST:PORT/DATABASE, or rediss:// for TLS; `cafile` there names the certificates of
    who may answer, in PEM, where the machine's own do not. beside: the variable of a password
    that is not in the address.
    """
    url = _address(name, env_secret(name), ("redis", "rediss"))
    asked = _parameters(name, url, ("cafile",))
    cafile = asked.get("cafile", "")
    if cafile and (url.scheme != "rediss" or not Path(cafile).is_file()):
        raise ImproperlyConfigured(f"{name}: cafile must name a file, at a rediss:// address.")
    login = _broker_login(name, url, beside)
    query = {"credential_provider": BROKER_LOGIN} if any(login.values()) else {}
    if url.scheme == "rediss":
        query |= {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}
        query |= {"ssl_ca_certs": cafile} if cafile else {}
    plain = url._replace(netloc=url.netloc.rpartition("@")[2], query="")
    return Broker(urlunsplit(plain), urlunsplit(plain._replace(query=urlencode(query))), login)


def _broker_login(name: str, url: SplitResult, beside: str) -> dict[str, str]:
    own, given = unquote(url.password or ""), env_secret(beside, "")
    if own and given:
        raise ImproperlyConfigured(f"{name} has a password, and {beside} is another: keep one.")
    return {
        "user": unquote(url.username or ""),
        "password": own or given,
        "address_file": env_file_of(name) if own else "",
        "password_file": env_file_of(beside) if given else "",
    }


def _address(name: str, value: str, schemes: tuple[str, ...]) -> SplitResult:
    try:
        url = urlsplit(value)
        url.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ImproperlyConfigured(f"{name} is no address.") from None
    if value and url.scheme not in schemes:
        raise ImproperlyConfigured(f"{name} must start with one of {', '.join(schemes)} and ://.")
    return url


def _parameters(name: str, url: SplitResult, known: tuple[str, ...]) -> dict[str, str]:
    """Return what stands behind the question mark: one that nobody reads could be a misspelled
    sslmode.
    """
    asked = {key: values[-1] for key, values in parse_qs(url.query).items()}
    for key in asked:
        if key not in known:
            raise ImproperlyConfigured(
                f"{name}: nothing is known of the parameter {key}; there are {', '.join(known)}."
            )
    return asked
