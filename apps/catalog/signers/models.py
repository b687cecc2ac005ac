"""Keys that sign manifests, and for how long each of them does: what makes an old signature still
worth something, and a stolen key's worth nothing.

A signature carries no time of its own. So the portal keeps when each key began to sign and when it
ended; it was one of these when it signed, which the record tells. Nothing of a key changes but its
end; two people end it for good.
"""

from django.db import models
from django.db.models import F, Q

from apps.accounts.asked import AskedInItsOwnWords
from apps.accounts.models import User
from apps.accounts.roles import DECIDES_SIGNERS, SEES_REGISTRY
from apps.common import decisions
from apps.common.signing import PublicKey, public_key_of


class SignerQuerySet(models.QuerySet["Signer"]):
    """Signers, the newest first."""

    def visible_to(self, user: User) -> "SignerQuerySet":
        """Return all of them for those who publish, review, run or audit; nothing for others."""
        return self if user.has_role(*SEES_REGISTRY) else self.none()

    def believed(self) -> "SignerQuerySet":
        """Return those whose signatures count, of now and of before."""
        return self.filter(revoked_at=None)


class Signer(models.Model):
    """A key that signs, or signed, manifests.

    fingerprint: SHA-256 of its SubjectPublicKeyInfo, hexadecimal. name: what versions call it.
    active_from, active_to: [from, to) in which it signed; None while it does.
    """

    class Kind(models.TextChoices):
        """Where its private half is, or was."""

        FILE = "FILE", "File"
        KMS = "KMS", "AWS KMS"
        TRANSIT = "TRANSIT", "Vault transit"
        FORMER = "FORMER", "Not known: a former key"

    fingerprint = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    key_id = models.CharField(max_length=300, blank=True, default="")
    public_key = models.TextField()  # PEM
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = SignerQuerySet.as_manager()

    class Meta:
        ordering = ("-active_from", "-pk")
        constraints = (
            models.CheckConstraint(
                condition=Q(active_to=None) | Q(active_to__gte=F("active_from")),
                name="signer_ends_after_it_began",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None) | Q(active_to__isnull=False),
                name="signer_revoked_has_ended",
            ),
            models.UniqueConstraint(
                models.Value(1), condition=Q(active_to=None), name="signer_one_at_a_time"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> PublicKey:
        """Return its public key."""
        return public_key_of(self.public_key.encode())


class RevocationQuerySet(models.QuerySet["SignerRevocation"]):
    """Requests to revoke a signer, newest first."""

    def pending(self) -> "RevocationQuerySet":
        """Return those that wait for a decision."""
        return self.filter(status=SignerRevocation.Status.PENDING)

    def visible_to(self, user: User) -> "RevocationQuerySet":
        """Return all of them for those who see signers; nothing for others."""
        return self if user.has_role(*SEES_REGISTRY) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["SignerRevocation"]:
        """Return those that wait for this person: for each who decides, those of others."""
        is_decider = user.has_role(*DECIDES_SIGNERS)
        return decisions.waiting_for(self.pending(), user, is_decider=is_decider)


class SignerRevocation(AskedInItsOwnWords):
    """Somebody asks that nobody believes a key any more; somebody else decides."""

    class Status(models.TextChoices):
        """Decided once, by somebody who did not ask."""

        PENDING = "PENDING", "Waiting for a decision"
        APPROVED = "APPROVED", "Revoked"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    signer = models.ForeignKey(Signer, on_delete=models.PROTECT, related_name="revocations")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    # how many versions it took out of use
    versions = models.PositiveIntegerField(null=True, blank=True)

    objects = RevocationQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        constraints = (
            *decisions.two_people("signer_revocation"),
            models.UniqueConstraint(
                fields=("signer",),
                condition=Q(status__in=("PENDING", "APPROVED")),
                name="signer_revocation_one_of_a_signer",
            ),
        )

    def __str__(self) -> str:
        return f"Revocation of {self.signer}"
