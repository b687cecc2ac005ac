"""What the identity provider's claims mean here: claims in, an Identity out, its problems in words.
Which group gives which role is a setting.

Rights come from groups. A claim that is missing, cut short or unknown never gives a right: the
person is signed in without any role and sees what is missing and whom to ask. Nothing in a token is
ever fetched.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from apps.accounts.models import Role
from apps.common.token_claims import COST_CENTER, LONGEST_COST_CENTER, TEAM

GROUPS_CUT_AT = 100  # Okta lists at most this many: a list this long may lack some


class ClaimsRefused(Exception):
    """The claims do not even say who this is."""


@dataclass(frozen=True)
class Problem:
    """Why a person has no access. code: for machines; what and todo: for the person."""

    code: str
    what: str
    todo: str


@dataclass(frozen=True)
class Identity:
    """Who the provider says this is. With problems there are no roles and no team."""

    issuer: str
    subject: str
    username: str
    name: str
    email: str
    groups: tuple[str, ...]
    roles: frozenset[Role]
    team: str = ""
    cost_center: str = ""
    problems: tuple[Problem, ...] = ()


def role_of_group() -> dict[str, Role]:
    """Return which role each group gives that gives one."""
    return {group: Role(role) for group, role in settings.ROLE_OF_GROUP.items()}


def identify(claims: Mapping[str, Any]) -> Identity:
    """Return who the claims speak of and what they may be. Raises ClaimsRefused without issuer or
    subject.
    """
    issuer, subject = _text(claims, "iss"), _text(claims, "sub")
    if not issuer or not subject:
        raise ClaimsRefused("The token names no issuer or no subject.")
    username = _text(claims, "preferred_username") or subject
    groups, problem = _groups(claims)
    known = role_of_group()
    roles = frozenset(known[group] for group in groups if group in known)
    problems = [problem] if problem else []
    if not problem and not roles:
        problems.append(_no_known_group(groups))
    problems += _team_problems(claims)
    return Identity(
        issuer=issuer,
        subject=subject,
        username=username[:150],
        name=(_text(claims, "name") or username)[:200],
        email=_text(claims, "email")[:254],
        groups=groups,
        roles=frozenset() if problems else roles,
        team="" if problems else _text(claims, "team"),
        cost_center="" if problems else _text(claims, "cost_center"),
        problems=tuple(problems),
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) else ""


def _groups(claims: Mapping[str, Any]) -> tuple[tuple[str, ...], Problem | None]:
    """Return the groups that were listed, and the problem where the list cannot be relied on."""
    elsewhere = claims.get("_claim_names")
    if (isinstance(elsewhere, Mapping) and "groups" in elsewhere) or claims.get("hasgroups"):
        return (), Problem(
            "groups_overage",
            "You are in more groups than the identity provider writes into a sign-in.",
            "Ask your identity team to send only the groups of this application.",
        )
    listed = claims.get("groups")
    if not isinstance(listed, list) or not all(isinstance(group, str) for group in listed):
        return (), Problem(
            "groups_missing",
            "Your sign-in came without the claim “groups”, so nothing says what you may do.",
            "Ask your identity team to add the groups claim to this application.",
        )
    if len(listed) >= GROUPS_CUT_AT:
        return tuple(listed), Problem(
            "groups_incomplete",
            f"Your sign-in lists {len(listed)} groups; such a list may have been cut short.",
            "Ask your identity team to send only the groups of this application.",
        )
    return tuple(listed), None


def _no_known_group(groups: tuple[str, ...]) -> Problem:
    what = "None of your groups gives a role here." if groups else "You are in no group yet."
    return Problem(
        "no_known_group", what, "Ask your team lead to have you added to one of the groups below."
    )


def _team_problems(claims: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with team and cost center: usage must be charged to somebody."""
    problems = []
    if not re.match(TEAM, _text(claims, "team")):
        problems.append(
            Problem(
                "team_missing",
                "Your sign-in names no team.",
                "Ask your identity team to send the claim “team”: one team, in lower-case letters "
                "and dashes.",
            )
        )
    cost_center = _text(claims, "cost_center")
    if len(cost_center) > LONGEST_COST_CENTER or not re.match(COST_CENTER, cost_center):
        problems.append(
            Problem(
                "cost_center_missing",
                "Your sign-in names no cost center, so nobody would pay for what you use.",
                "Ask your identity team to send the claim “cost_center” for your team.",
            )
        )
    return problems
