"""Who is told what, and how: a line in the bell always, an e-mail now or in the day's digest, and
calls to webhooks, as each person chose.

A title is made of names and figures that the portal itself keeps: never of what people typed, never
of a secret, a prompt or a member's data. Notices say what the record says already, so telling and
reading them is no event of their own; choices and webhooks are.
"""

import uuid
from urllib.parse import urlsplit

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.common.ids import ordered_id
from apps.common.leases import Reconciled


class Kind(models.TextChoices):
    """What a notice is about: what people choose by."""

    WAITS = "WAITS", "Waits for your decision"
    DECIDED = "DECIDED", "What became of what you asked for"
    ROLLOUT = "ROLLOUT", "Rollouts that ended, went back or wait for you"
    INCIDENT = "INCIDENT", "Incidents: what serves is not what was approved, or fails its callers"
    EMERGENCY = "EMERGENCY", "Emergencies: versions rolled forward at once"
    VERSION = "VERSION", "Versions and evaluations that failed"
    BUDGET = "BUDGET", "Budgets that run out"
    GRANT = "GRANT", "Access that ends"
    REVIEW = "REVIEW", "Reviews that are due or overdue"
    MONTH = "MONTH", "Months and their statements"
    RECORD = "RECORD", "The audit record"
    PROMPT = "PROMPT", "Prompts of your team that somebody read, and prompts that were lost"
    DELIVERY = "DELIVERY", "Your webhooks"


class ByEmail(models.TextChoices):
    """Whether a notice also comes by e-mail."""

    NOW = "NOW", "At once"
    DIGEST = "DIGEST", "In the day's digest"
    NEVER = "NEVER", "Never"


class Letter(Reconciled):
    """An e-mail to one person: one notice at once, or a day's digest of several.

    sent_to: where it went; "" until then. reason, message: what stands in its way.
    """

    class Status(models.TextChoices):
        """Where it stands."""

        WAITING = "WAITING", "Being sent"
        SENT = "SENT", "Sent"
        FAILED = "FAILED", "Not sent"
        DROPPED = "DROPPED", "Not needed: read before it was sent"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="letters")
    is_digest = models.BooleanField(default=False)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    sent_to = models.EmailField(blank=True, default="")

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=(Q(status="SENT", sent_at__isnull=False) & ~Q(sent_to=""))
                | (~Q(status="SENT") & Q(sent_at=None, sent_to="")),
                name="letter_sent_tells_where_and_when",
            ),
        )

    def __str__(self) -> str:
        return f"{'digest' if self.is_digest else 'e-mail'} to {self.user}"


class NoticeQuerySet(models.QuerySet["Notice"]):
    """Notices, newest first."""

    def of(self, user: User) -> "NoticeQuerySet":
        """Return those that this account was told. Another account of the person sees none of
        them: what links accounts may be an e-mail that nobody verified.
        """
        return self.filter(user=user)

    def unread(self) -> "NoticeQuerySet":
        """Return those that nobody has read yet."""
        return self.filter(read_at=None)


class Notice(models.Model):
    """One thing that one person is told, once.

    person: of the account at that time; it makes a notice one per person and key. path: where it
    leads, within the portal. key: of the thing and what is told about it: telling it again tells
    nothing. by_email: as the person had chosen then; letter: the e-mail that carries it.
    """

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="notices")
    person = models.UUIDField(editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    title = models.CharField(max_length=200)
    path = models.CharField(max_length=300)
    key = models.CharField(max_length=200)
    is_urgent = models.BooleanField(default=False)
    told_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    by_email = models.CharField(max_length=8, choices=ByEmail.choices)
    letter = models.ForeignKey(
        Letter, null=True, blank=True, on_delete=models.PROTECT, related_name="notices"
    )

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ("-told_at", "-id")
        indexes = (
            models.Index(fields=("user", "-told_at", "-id"), name="notice_newest_of_user"),
            models.Index(fields=("user",), condition=Q(read_at=None), name="notice_unread_of_user"),
            # for equal keys, and for those that begin with something
            models.Index(fields=("key",), opclasses=("varchar_pattern_ops",), name="notice_by_key"),
            models.Index(
                fields=("told_at",),
                condition=Q(read_at=None, letter=None, by_email="DIGEST"),
                name="notice_for_digest",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("person", "key"), name="notice_once_per_person_and_key"
            ),
            models.CheckConstraint(
                condition=Q(path__startswith="/") & ~Q(path__startswith="//"),
                name="notice_leads_within_the_portal",
            ),
        )

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address that marks it read and goes on to what it is about."""
        return reverse("notices:notice_open", args=[self.pk])


class Choice(models.Model):
    """How a person wants to be told of one kind. Without a row, DEFAULTS holds (actions.py)."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="notice_choices")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    by_email = models.CharField(max_length=8, choices=ByEmail.choices)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("user", "kind"), name="choice_once_per_user_and_kind"),
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.by_email}"


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Webhooks, newest first."""

    def kept(self) -> "WebhookQuerySet":
        """Return those that were not removed."""
        return self.filter(removed_at=None)

    def of(self, user: User) -> "WebhookQuerySet":
        """Return those that this account keeps; those of another account of the person are its
        own.
        """
        return self.kept().filter(user=user)


class Webhook(models.Model):
    """An address of a person's to which their own notices are posted, signed.

    Its secret is not kept: it follows from a key of the portal's, the id and `secret_number`
    (signing.py), so a new number is a new secret; the one
    before it still signs for a day. failures: calls in a row that failed for good.
    stopped_at: since when nothing is posted, until its owner starts it again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(max_length=500)
    kinds = ArrayField(models.CharField(max_length=16, choices=Kind.choices))
    secret_number = models.PositiveIntegerField(default=1)
    secret_changed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    failures = models.PositiveIntegerField(default=0)
    stopped_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(condition=~Q(kinds=[]), name="webhook_for_some_kind"),
        )

    def __str__(self) -> str:
        return f"webhook at {self.host}"

    def get_absolute_url(self) -> str:
        """Return its page."""
        return reverse("notices:webhook_detail", args=[self.pk])

    @property
    def host(self) -> str:
        """Return whose address it is: all of it that is shown to others, and kept in the record.
        Receivers put secrets into paths.
        """
        return urlsplit(self.url).hostname or ""


class Call(Reconciled):
    """One notice, posted to one webhook; its id is the message's id there. status_code: what the
    receiver answered at last, None where it did not.
    """

    class Status(models.TextChoices):
        """Where it stands."""

        WAITING = "WAITING", "Being sent"
        SENT = "SENT", "Delivered"
        FAILED = "FAILED", "Failed"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="calls")
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="calls")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("webhook", "notice"), name="call_once_per_webhook_and_notice"
            ),
            models.CheckConstraint(
                condition=Q(status="SENT", sent_at__isnull=False)
                | (~Q(status="SENT") & Q(sent_at=None)),
                name="call_sent_tells_when",
            ),
        )

    def __str__(self) -> str:
        return f"{self.notice} to {self.webhook}"
