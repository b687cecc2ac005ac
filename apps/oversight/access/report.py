"""What the access report counts: how many people may do what, and could take either part of a
decision.
"""

from collections.abc import Collection
from dataclasses import dataclass

from apps.accounts.models import Role, RoleBinding
from apps.accounts.roles import ABILITIES, DUTIES, Ability, Duty


@dataclass(frozen=True)
class AbilityLine:
    """How many people may do something."""

    ability: Ability
    people: int

    @property
    def roles(self) -> str:
        """Return whose it is, in words."""
        return role_words(self.ability.roles)


@dataclass(frozen=True)
class DutyLine:
    """How many people may ask for a decision, take it, or could do both (not about the same)."""

    duty: Duty
    asks: int
    decides: int
    both: int

    @property
    def asking(self) -> str:
        """Return which roles ask, in words."""
        return role_words(self.duty.asks)

    @property
    def deciding(self) -> str:
        """Return which roles decide, in words."""
        return role_words(self.duty.decides)

    @property
    def is_stuck(self) -> bool:
        """Tell whether nobody could decide on what somebody asks for: one person alone never
        can.
        """
        return self.decides == 0 or (self.decides == 1 and self.both == 1 and self.asks == 1)


def role_words(roles: Collection[str]) -> str:
    """Return roles as people read them, in the order in which the portal names them."""
    return ", ".join(str(role.label) for role in Role if role in roles)


def holders() -> list[frozenset[str]]:
    """Return the roles of each person who may sign in and has one. One query."""
    found: dict[int, set[str]] = {}
    bindings = RoleBinding.objects.filter(user__is_active=True)
    for person, role in bindings.values_list("user", "role"):
        found.setdefault(person, set()).add(role)
    return [frozenset(roles) for roles in found.values()]


def ability_lines(people: Collection[frozenset[str]]) -> list[AbilityLine]:
    """Return every ability, with how many of these people have it."""
    return [AbilityLine(one, _count(people, one.roles)) for one in ABILITIES]


def duty_lines(people: Collection[frozenset[str]]) -> list[DutyLine]:
    """Return every decision, with how many of these people could take its parts."""
    return [
        DutyLine(
            one,
            asks=_count(people, one.asks),
            decides=_count(people, one.decides),
            both=sum(one.is_both(roles) for roles in people),
        )
        for one in DUTIES
    ]


def _count(people: Collection[frozenset[str]], roles: Collection[str]) -> int:
    return sum(not have.isdisjoint(roles) for have in people)
