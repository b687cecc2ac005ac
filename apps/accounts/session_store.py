"""Where browsers' sessions are kept: the database, as Django does it, also while it hands over."""

import logging

from django.contrib.sessions.backends import db

from apps.integrations.postgres.base import TakesNoWrites

log = logging.getLogger(__name__)


class SessionStore(db.SessionStore):
    """Django's, which lets a page be read though nobody can write down that somebody was there."""

    def save(self, must_create: bool = False) -> None:
        """Keep the session. While the database takes no writes, what is known of one that there is
        stays as it was; a new one, a sign-in, raises TakesNoWrites.
        """
        try:
            super().save(must_create)
        except TakesNoWrites:
            if must_create:
                raise
            log.warning("a session was not saved: the database takes no writes")
