"""Notices for tests."""

from datetime import timedelta

from apps.notices.actions import tell
from apps.notices.letters import Portal
from apps.notices.models import Kind, Webhook
from tests.factories import NOW, UserFactory

LATER = NOW + timedelta(hours=1)
PORTAL = Portal("https://portal.meridian.test", "production")


def say(*people, kind=Kind.WAITS, key="promotion:1:waits", now=NOW, **more):
    """Tell people that a promotion waits, unless the test says something else."""
    what = {"title": "Review extract-v2 for production", "path": "/promotions/1/"} | more
    return tell(people, kind=kind, key=key, now=now, **what)


def person(username, **more):
    """Return somebody with an address."""
    return UserFactory(username=username, email=f"{username}@meridian.test", **more)


def webhook(user, *kinds, url="https://hooks.meridian.test/secret-path", **more):
    """Return a webhook of a person's."""
    chosen = [str(kind) for kind in kinds or (Kind.WAITS,)]
    return Webhook.objects.create(user=user, url=url, kinds=chosen, created_at=NOW, **more)
