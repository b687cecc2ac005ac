"""Celery tasks of apps.notices: one call each."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings

from apps.access import telling as access
from apps.access.budgets import telling as budgets
from apps.capacity import telling as capacity
from apps.catalog.intake import telling as intake
from apps.catalog.signers import telling as signers
from apps.chargeback import telling as chargeback
from apps.common.clocks import now
from apps.evals import telling as evals
from apps.evals.suites import telling as suites
from apps.gateway.guard import telling as guardrails
from apps.incidents import telling as incidents
from apps.integrations.mail.client import client_from_settings as mail_client
from apps.integrations.webhooks.client import client_from_settings as webhook_client
from apps.metering import retirement
from apps.notices import digests, reconcile, retention
from apps.notices.letters import Portal
from apps.notices.models import Call, Letter
from apps.notices.signing import key_from_settings
from apps.oversight import pipelines
from apps.oversight.record import telling as record
from apps.oversight.roles import telling as roles
from apps.promotions import telling as promotions
from apps.prompts import telling as prompts
from worker.celery import Sweep, app

# Each send may take seconds; what a sweep starts must not outgrow what workers do until the next.
MOST_AT_ONCE = 200
FORGOTTEN_AT_ONCE = 5000
TELLERS: dict[str, Callable[..., int]] = {
    "access": access.tell,
    "budgets": budgets.tell,
    "new-models": intake.tell,
    "evals": evals.tell,
    "suites": suites.tell,
    "pipelines": pipelines.tell,
    "capacity": capacity.tell,
    "promotions": promotions.tell,
    "guardrails": guardrails.tell,
    "chargeback": chargeback.tell,
    "incidents": incidents.tell,
    "record": record.tell,
    "retirements": retirement.tell,
    "roles": roles.tell,
    "signers": signers.tell,
    "prompts": prompts.tell,
}


@app.task(name="notices.send_letter", acks_late=True, time_limit=60)
def send_letter(*, letter_id: str, **_: object) -> None:
    """Send one e-mail."""
    letter = Letter.objects.select_related("user").get(pk=letter_id)
    reconcile.send_letter(letter=letter, mail=mail_client(), portal=_portal(), now=now())


@app.task(name="notices.send_call", acks_late=True, time_limit=60)
def send_call(*, call_id: str, **_: object) -> None:
    """Post one notice to one webhook."""
    call = Call.objects.select_related("webhook__user", "notice").get(pk=call_id)
    key, portal = key_from_settings(), _portal()
    reconcile.send_call(call=call, client=webhook_client(), portal=portal, key=key, now=now())


@app.task(base=Sweep, name="notices.send_due", time_limit=30)
def send_due(**_: object) -> None:
    """Start one task for each letter and each call that is due, for those due longest first; the
    rest is due again the next time.
    """
    due = {"next_check_at__lte": now()}
    letters = Letter.objects.filter(**due).order_by("next_check_at")[:MOST_AT_ONCE]
    for letter_id in letters.values_list("pk", flat=True):
        send_letter.delay(letter_id=str(letter_id))
    calls = Call.objects.filter(**due).order_by("next_check_at")[:MOST_AT_ONCE]
    for call_id in calls.values_list("pk", flat=True):
        send_call.delay(call_id=str(call_id))


@app.task(base=Sweep, name="notices.tell_people", time_limit=30)
def tell_people(**_: object) -> None:
    """Start one task for each app that has something to tell."""
    for name in TELLERS:
        tell_of.delay(name=name)


@app.task(name="notices.tell_of", acks_late=True, time_limit=60)
def tell_of(*, name: str, **_: object) -> None:
    """Tell of what one app has to tell."""
    TELLERS[name](now=now())


@app.task(name="notices.make_digests", acks_late=True, time_limit=120)
def make_digests(**_: object) -> None:
    """Write the day's digests."""
    digests.make_digests(now=now(), hour=settings.DIGEST_HOUR, zone=settings.DIGEST_ZONE)


@app.task(name="notices.forget_notices", acks_late=True, time_limit=120)
def forget_notices(**_: object) -> None:
    """Forget what people were told longer ago than notices are kept."""
    before = now() - timedelta(days=settings.NOTICE_DAYS)
    retention.forget_notices(before=before, most=FORGOTTEN_AT_ONCE)


def _portal() -> Portal:
    return Portal(settings.PORTAL_URL, settings.ENVIRONMENT_NAME)
