"""People, their teams and roles, and the cost centers that pay. All of it comes from the identity
provider's claims.

An account is known by (issuer, subject), never by e-mail. Rows are written by
`actions.sync_user_from_claims` alone. Several accounts may be one person's: they share `person`,
and nobody decides with one of them about what they asked for with another.
"""

import uuid
from collections.abc import Iterable
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower, Now

from apps.common.sign_ins import SignIn


class Role(models.TextChoices):
    """What a person may do. Given by the identity provider's groups (claims.py)."""

    TEAM_LEAD = "TEAM_LEAD", "Team lead"
    DEVELOPER = "DEVELOPER", "Developer"
    MODEL_OWNER = "MODEL_OWNER", "Model owner"
    REVIEWER = "REVIEWER", "Reviewer"
    FINANCE = "FINANCE", "Finance"
    PLATFORM_ENGINEER = "PLATFORM_ENGINEER", "Platform engineer"
    AUDITOR = "AUDITOR", "Auditor"


class CostCenter(models.Model):
    """Who pays: a code of the company's ledger."""

    code = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=120, blank=True, default="")

    def __str__(self) -> str:
        return self.code


class Team(models.Model):
    """A team as the identity provider names it."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=120)
    cost_center = models.ForeignKey(CostCenter, on_delete=models.PROTECT, related_name="teams")

    def __str__(self) -> str:
        return self.slug


class User(AbstractBaseUser):
    """A person who has signed in, or a pipeline that acts for one."""

    issuer = models.URLField()
    subject = models.CharField(max_length=255)
    username = models.CharField(max_length=150, unique=True)
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True, default="")
    person = models.UUIDField(default=uuid.uuid4, editable=False)  # the same on all their accounts
    team = models.ForeignKey(
        Team, null=True, blank=True, on_delete=models.PROTECT, related_name="current_users"
    )
    is_active = models.BooleanField(default=True)
    # of a pipeline's account: the account of whoever pushed, whose person it shares
    acts_for = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()

    # The models that it may act on, of those that its roles let it: set by whoever lets a pipeline
    # in, no column. None: no such limit.
    limited_to: frozenset[str] | None = None
    # When and how they signed in: set by whoever lets them in, no column.
    sign_in: SignIn | None = None

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = BaseUserManager["User"]()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("issuer", "subject"), name="user_one_per_identity"),
        )
        indexes = (
            models.Index(fields=("person",), name="user_by_person"),
            models.Index(Lower("email"), name="user_by_email"),
            models.Index(fields=("subject",), name="user_by_subject"),
        )

    def __str__(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        """Return the name people know this person by."""
        return self.name

    @property
    def roles(self) -> frozenset[str]:
        """Return the person's roles; one query the first time, then remembered on this instance."""
        if not hasattr(self, "_roles"):
            self._roles = frozenset(self.role_bindings.values_list("role", flat=True))
        return self._roles

    def remember_roles(self, roles: Iterable[str]) -> None:
        """Take the roles as read, so that this instance asks for them no more."""
        self._roles = frozenset(roles)

    def has_role(self, *roles: str) -> bool:
        """Tell whether the person has at least one of `roles`."""
        return not self.roles.isdisjoint(roles)


class Membership(models.Model):
    """A person signs in with a team: from the first sign-in with it to the first one without it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="memberships")
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("user",),
                condition=models.Q(active_to__isnull=True),
                name="membership_one_current_per_user",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class RoleBinding(models.Model):
    """A role a person has now, as each sign-in says; its history is in the audit record. since: it
    has been theirs without a break.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_bindings")
    role = models.CharField(max_length=32, choices=Role.choices)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "role"), name="role_binding_once"),)

    def __str__(self) -> str:
        return f"{self.user}: {self.role}"
