"""Writes what the identity provider says about a person: the row, roles, team and the team's cost
center.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from apps.accounts.claims import Identity
from apps.accounts.models import CostCenter, Membership, RoleBinding, Team, User
from apps.accounts.recertification.models import withheld_from
from apps.audit import actions as audit
from apps.audit.models import Action

INITIALS = frozenset({"ai", "hr", "it", "ml", "qa"})  # which a team's name has in capitals


@transaction.atomic
def sync_user_from_claims(*, identity: Identity, now: datetime) -> User:
    """Make the rows say what the claims say, and return the person. Audited only where something
    changed.

    Without roles (the claims had problems) the person keeps their row and loses roles and team.
    """
    user, is_new = _user(identity, now)
    before = _facts(user)
    team = team_of(identity=identity, user=user, now=now) if identity.team else None
    for field, value in (("name", identity.name), ("email", identity.email), ("team", team)):
        setattr(user, field, value)
    user.save(update_fields=("name", "email", "team"))
    if is_new or user.email != before["email"]:
        _link_accounts(user, now)
    _replace_roles(user, identity)
    _move_membership(user, team, now)
    after = _facts(user)
    if after != before:
        data = {"before": before, "after": after}
        audit.record(action=Action.USER_SYNCED, actor=user, target=user, now=now, data=data)
    return user


def assign_cost_center(*, team: Team, code: str, actor: User, now: datetime) -> None:
    """Let another cost center pay for a team, from now on."""
    before = team.cost_center.code
    if before == code:
        return
    team.cost_center, _ = CostCenter.objects.get_or_create(code=code)
    team.save(update_fields=("cost_center",))
    data = {"before": before, "after": code}
    audit.record(action=Action.COST_CENTER_ASSIGNED, actor=actor, target=team, now=now, data=data)


@transaction.atomic
def sign_in(*, identity: Identity, now: datetime) -> User:
    """Sync the person and record that they signed in."""
    user = sync_user_from_claims(identity=identity, now=now)
    data = {
        "team": identity.team,
        "roles": sorted(identity.roles),
        "problems": [p.code for p in identity.problems],
    }
    audit.record(action=Action.SIGNED_IN, actor=user, target=user, now=now, data=data)
    return user


def record_sign_out(*, user: User, reason: str, now: datetime) -> None:
    """Record that a session ended. reason: "asked", "idle", "too_long" or "other_team"."""
    data = {"reason": reason}
    audit.record(action=Action.SIGNED_OUT, actor=user, target=user, now=now, data=data)


def _user(identity: Identity, now: datetime) -> tuple[User, bool]:
    """Return the account's row, locked, and whether it was made: at its first sign-in."""
    who, is_new = {"issuer": identity.issuer, "subject": identity.subject}, False
    if not User.objects.filter(**who).exists():
        taken = User.objects.filter(username=identity.username).exists()
        username = (
            f"{identity.username[:140]}-{identity.subject[:8]}" if taken else identity.username
        )
        fields = {
            "username": username,
            "name": identity.name,
            "email": identity.email,
            "created_at": now,
        }
        _, is_new = User.objects.get_or_create(**who, defaults=fields | {"password": "!"})
    return User.objects.select_for_update().get(**who), is_new


def _link_accounts(user: User, now: datetime) -> None:
    """Have every account with this one's e-mail or subject be one person's: the person of the
    oldest of them. What was linked stays linked, whatever the claims say later.

    An e-mail that nobody verified links too: then the two accounts cannot decide about each other's
    requests. A link only takes away, and shows nobody what the other account sees.
    """
    same = Q(subject=user.subject)
    if user.email:
        same |= Q(email__iexact=user.email)
    accounts = User.objects.select_for_update().order_by("created_at", "pk")
    people = {one.person for one in accounts.filter(same)} | {user.person}
    if len(people) == 1:
        return
    theirs = list(accounts.filter(person__in=people))
    User.objects.filter(person__in=people).update(person=theirs[0].person)
    user.person = theirs[0].person
    data = {"accounts": [one.username for one in theirs]}
    audit.record(action=Action.USER_LINKED, actor=user, target=user, now=now, data=data)


def _facts(user: User) -> dict[str, object]:
    roles = sorted(RoleBinding.objects.filter(user=user).values_list("role", flat=True))
    return {
        "name": user.name,
        "email": user.email,
        "team": user.team.slug if user.team else "",
        "roles": roles,
    }


def team_name(slug: str) -> str:
    """Return how people read a team's slug: "Claims review", "ML platform"."""
    words = [word.upper() if word in INITIALS else word for word in slug.split("-")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


@transaction.atomic
def team_of(*, identity: Identity, user: User, now: datetime) -> Team:
    """Return the team the claims name, made where it is new, paid for by the cost center they
    name.
    """
    team = Team.objects.select_related("cost_center").filter(slug=identity.team).first()
    if team is None:
        cost_center, _ = CostCenter.objects.get_or_create(code=identity.cost_center)
        team, _ = Team.objects.get_or_create(
            slug=identity.team,
            defaults={"name": team_name(identity.team), "cost_center": cost_center},
        )
    assign_cost_center(team=team, code=identity.cost_center, actor=user, now=now)
    return team


def _replace_roles(user: User, identity: Identity) -> None:
    """Give the person the roles of their groups, but those that somebody took away."""
    roles = identity.roles - withheld_from(user)
    RoleBinding.objects.filter(user=user).exclude(role__in=roles).delete()
    has = set(RoleBinding.objects.filter(user=user).values_list("role", flat=True))
    RoleBinding.objects.bulk_create(
        RoleBinding(user=user, role=role) for role in sorted(roles - has)
    )


def _move_membership(user: User, team: Team | None, now: datetime) -> None:
    current = Membership.objects.filter(user=user, active_to__isnull=True)
    if team is not None and current.filter(team=team).exists():
        return
    current.update(active_to=now)
    if team is not None:
        Membership.objects.create(user=user, team=team, active_from=now)
