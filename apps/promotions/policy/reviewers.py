"""Whom a policy lets approve a promotion: its roles, without those whom it excludes.

Persons count, not accounts: whoever published a version with one account does not approve it with
another. The rule stands here twice, for one promotion in words and for a list as a condition; a
test holds them against each other. Nobody decides on their own proposal, whatever a policy says:
that is apps/common/decisions.py.
"""

from typing import TYPE_CHECKING

from django.db.models import Q

from apps.accounts.models import Role, User
from apps.accounts.roles import OWNS_MODELS
from apps.promotions.policy.rules import Excluded

if TYPE_CHECKING:
    from apps.promotions.models import Promotion


def is_named(promotion: "Promotion", person: User) -> bool:
    """Tell whether the policy names a role of this person."""
    return person.has_role(*promotion.policy_revision.rules.approver_roles)


def exclusion(promotion: "Promotion", person: User) -> str:
    """Return why the policy excludes this person from approving, in words; "" where it does not.
    At most two queries.
    """
    excluded = promotion.policy_revision.rules.excluded
    version, model = promotion.model_version, promotion.registered_model
    if Excluded.PUBLISHER in excluded and version.created_by.person == person.person:
        return f"You published {version.name}, and the policy leaves the decision to others."
    if Excluded.OWNERS in excluded and any(
        model.is_owned_by(account) for account in _accounts(person)
    ):
        return f"You own {model}, and the policy leaves the decision to others."
    return ""


def may_approve(user: User) -> Q:
    """Return the condition under which a promotion's policy lets this person decide about it."""
    named = Q(pk__in=())
    for role in user.roles:
        named |= Q(policy_revision__body__approver_roles__contains=[role])
    published = Q(
        policy_revision__body__excluded__contains=[Excluded.PUBLISHER.value],
        model_version__created_by__person=user.person,
    )
    owned = Q(
        policy_revision__body__excluded__contains=[Excluded.OWNERS.value],
        registered_model__owner_team__in=_teams_owned_for(user),
    )
    return named & ~published & ~owned


def _accounts(person: User) -> list[User]:
    return list(User.objects.filter(person=person.person).prefetch_related("role_bindings"))


def _teams_owned_for(user: User) -> list[int]:
    """Return the teams whose models one of the person's accounts owns."""
    accounts = User.objects.filter(
        person=user.person, role_bindings__role__in=OWNS_MODELS, team__isnull=False
    )
    return list(accounts.values_list("team_id", flat=True).distinct())


def next_words(promotion: "Promotion", given: int) -> str:
    """Return who may give the next approval: "a reviewer", "another reviewer".

    given: how many count already.
    """
    rules = promotion.policy_revision.rules
    article = "another" if given else _article(rules.decider)
    return f"{article} {rules.decider}"


def _article(words: str) -> str:
    return "an" if words[:1] in "aeiou" else "a"


def role_words(roles: tuple[str, ...]) -> str:
    """Return roles for people: "Reviewer, Platform engineer"."""
    return ", ".join(str(Role(role).label) for role in roles)
