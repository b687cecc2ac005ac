"""Who logs in to the broker (REDIS_URL): looked up anew for each connection, so that a password
which was rotated is taken without a restart.
"""

from django.conf import settings
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as Away

from apps.common.secret_files import password_in


class Login(CredentialProvider):
    """What kombu gives redis-py to ask for a login; it is named in Celery's address."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the user and the password of this moment; the password alone for a server that
        has no users. Raises redis' ConnectionError, which the broker being away is, too.
        """
        login = settings.REDIS_LOGIN
        password = login["password"]
        try:
            if path := login["password_file"]:
                password = password_in(path, is_address=False)
            elif path := login["address_file"]:
                password = password_in(path, is_address=True)
        except OSError as error:
            raise Away(f"The broker's password cannot be read: {error}") from error
        return (login["user"], password) if login["user"] else (password,)
