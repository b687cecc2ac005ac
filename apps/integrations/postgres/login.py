"""Who logs in to the database: the password is looked up anew for each connection, so that one
which was rotated is taken without a restart.

A password stands in the settings, in a file of its own, or in an address that is in a file; or it
is a token that AWS IAM takes for a quarter of an hour, signed with the pod's own role.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.db import OperationalError

from apps.common.secret_files import password_in

PASSWORD_FILE, ADDRESS_FILE, IAM = "password_file", "address_file", "iam"  # noqa: S105
PORT = 5432


def password(params: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the password of a new connection; "" where none is needed.

    params: libpq's words for where it leads; options: where the password is. May ask AWS STS,
    within seconds, where a token of IAM is asked for and the role's own keys have ended. Raises
    OperationalError, which the database being away is, too.
    """
    if options.get(IAM):
        return iam_token(
            host=str(params["host"]), port=int(params.get("port") or PORT), user=str(params["user"])
        )
    path, is_address = options.get(PASSWORD_FILE), False
    if not path:
        path, is_address = options.get(ADDRESS_FILE), True
    if not path:
        return str(params.get("password") or "")
    try:
        return password_in(path, is_address=is_address)
    except OSError as error:
        raise OperationalError(f"The database's password cannot be read: {error}") from error


def iam_token(*, host: str, port: int, user: str) -> str:
    """Return a token that IAM takes for this user's password at this host, for 15 minutes.

    Nothing is asked of the database's service: the token is a signature. Raises OperationalError.
    """
    try:
        token: str = _signer().generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
    except (BotoCoreError, ClientError) as error:
        raise OperationalError(f"AWS gives no token for the database: {error}") from error
    return token


@cache
def _signer() -> Any:
    """Return a client that signs; it renews the role's own keys by itself."""
    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
    return boto3.session.Session().client("rds", config=config)
