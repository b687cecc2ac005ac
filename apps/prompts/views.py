"""The overview of the prompt record: how much there is, where, and what is not as it should be."""

from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.common.counts import counted
from apps.prompts import pages, words
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.holds.models import HoldRelease, LegalHold
from apps.prompts.models import LostPrompts, Place, PromptPack, PromptRecord
from apps.prompts.rules.models import RetentionChange
from apps.prompts.rules.queries import in_force
from apps.prompts.subjects import SubjectKind, secret_id

WEEK = timedelta(days=7)
KEYS = {
    "file": "a key in a file: whoever reads that file and the database reads every prompt",
    "kms": "a key of KMS",
    "transit": "a key of Vault’s transit engine",
}


@require_GET
def overview(request: SignedIn) -> HttpResponse:
    """Show what is kept, where it is, what was lost, and what waits. Eight queries."""
    pages.require_overseer(request.user)
    moment = now()
    lost = LostPrompts.objects.filter(hour__gte=moment - WEEK).aggregate(Sum("count"))
    counts, standing = _counts(), LegalHold.objects.standing().count()
    context = {
        "tabs": pages.tabs(request.user, "prompts:overview"),
        "stats": [
            ("Calls in the database", f"{counts['database']:,}"),
            ("Calls in S3", f"{counts['s3']:,}"),
            ("Calls erased", f"{counts['erased']:,}"),
            ("Texts lost in 7 days", f"{lost['count__sum'] or 0:,}"),
            ("Standing holds", f"{standing:,}"),
        ],
        "lost": lost["count__sum"] or 0,
        "unnamed": counted(counts["unnamed"], "call"),
        "unnamed_are": "is" if counts["unnamed"] == 1 else "are",
        "other_secret": counted(counts["other_secret"], "call"),
        "waits": [
            *RetentionChange.objects.pending().select_related("requested_by"),
            *HoldRelease.objects.pending().select_related("requested_by", "hold"),
            *ErasureRequest.objects.pending().select_related("requested_by"),
        ],
        "classes": [
            (one.label, words.words_of(ruling.rules)) for one, ruling in in_force(moment).items()
        ],
        "problems": PromptPack.objects.exclude(message="").filter(next_check_at__isnull=False)[:5],
        "wrapped_by": KEYS[settings.PROMPT_KEYS],
        "is_file": settings.PROMPT_KEYS == "file",
    }
    return render(request, "prompts/overview.html", context)


def _counts() -> dict[str, int]:
    """Return how many records there are, by where they are and by whose key. One query."""
    of_team = Q(data_key__kind=SubjectKind.TEAM)
    readable = ~Q(place=Place.ERASED)
    return PromptRecord.objects.aggregate(
        database=Count("pk", filter=Q(place=Place.POSTGRES)),
        s3=Count("pk", filter=Q(place=Place.S3)),
        erased=Count("pk", filter=Q(place=Place.ERASED)),
        unnamed=Count("pk", filter=of_team & readable),
        other_secret=Count("pk", filter=~of_team & readable & ~Q(data_key__secret=secret_id())),
    )
