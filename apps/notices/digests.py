"""The day's digest: one e-mail with what a person wanted to read once a day."""

from datetime import datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from django.db import transaction

from apps.common.tasks import enqueue_on_commit
from apps.notices.models import ByEmail, Letter, Notice

OLDEST = timedelta(days=14)  # what waited longer, as for a worker that stood still, is old news


def last_digest_at(now: datetime, *, hour: int, zone: ZoneInfo) -> datetime:
    """Return the latest moment at which digests go out that is not after `now`.

    hour: 0 to 23 on the clocks of `zone`; a day on which that hour does not exist has it an hour
    later.
    """
    here = now.astimezone(zone)
    today = datetime.combine(here.date(), time(hour), zone)
    return (
        today
        if today <= here
        else datetime.combine(here.date() - timedelta(days=1), time(hour), zone)
    )


@transaction.atomic
def make_digests(*, now: datetime, hour: int, zone: ZoneInfo) -> int:
    """Write a letter to each person of what they were told before the last digest's hour and have
    not read; return how many letters. Two workers at once share the people between them.
    """
    until = last_digest_at(now, hour=hour, zone=zone)
    waiting = Notice.objects.unread().filter(
        by_email=ByEmail.DIGEST, letter=None, told_at__lt=until, told_at__gte=now - OLDEST
    )
    rows = waiting.select_for_update(of=("self",), skip_locked=True).select_related("user")
    return sum(
        _write(list(notices), now)
        for _, notices in groupby(rows.order_by("user_id", "told_at", "pk"), lambda n: n.user_id)
    )


def _write(notices: list[Notice], now: datetime) -> int:
    letter = Letter.objects.create(
        user=notices[0].user, is_digest=True, created_at=now, next_check_at=now
    )
    Notice.objects.filter(pk__in=[notice.pk for notice in notices]).update(letter=letter)
    enqueue_on_commit("notices.send_letter", letter_id=str(letter.pk))
    return 1
