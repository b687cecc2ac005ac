"""Forgetting what people were told long ago, with its e-mails and calls.

A notice says what the record says already, so nothing is lost with it. What still waits then is
told anew, for whoever may tell knows nothing of it any more.
"""

from datetime import datetime

from django.db import transaction

from apps.notices.models import Call, Letter, Notice


@transaction.atomic
def forget_notices(*, before: datetime, most: int) -> int:
    """Delete the notices that were told before a moment, the oldest first, with the calls that
    posted them and the letters that carried nothing else; return how many notices. most: at once.
    """
    old = Notice.objects.filter(told_at__lt=before).order_by("told_at", "pk")[:most]
    keys = list(old.values_list("pk", flat=True))
    Call.objects.filter(notice__in=keys).delete()
    letters = set(
        Notice.objects.filter(pk__in=keys, letter__isnull=False).values_list("letter", flat=True)
    )
    Notice.objects.filter(pk__in=keys).delete()
    Letter.objects.filter(pk__in=letters, notices=None).delete()
    return len(keys)
