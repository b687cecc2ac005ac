"""One sign-in: who, for which team, when, for which audiences. Codes, refresh tokens and device
codes carry it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from .personas import Persona, find_persona

# How people sign in here, weakest first: by choosing a persona, or by doing so because a program
# asked for a confirmation. Nobody proves anything, so neither says more than that it was done.
CHOSEN, CONFIRMED = "urn:local:chosen", "urn:local:confirmed"
ACR_VALUES = (CHOSEN, CONFIRMED)


def best_acr(asked: str) -> str:
    """Return how a person signs in for a request's `acr_values`: the first that there is."""
    return next((value for value in asked.split() if value in ACR_VALUES), CHOSEN)


@dataclass(frozen=True)
class Login:
    """What the tokens of one sign-in say. Authlib takes it as its user."""

    username: str
    team: str
    auth_time: int
    family: str  # everything issued from this sign-in is revoked together
    audiences: tuple[str, ...] = ()
    acr: str = CHOSEN  # how they signed in (ACR_VALUES)

    @property
    def persona(self) -> Persona:
        """The person. Raises LookupError where the data file no longer has them."""
        person = find_persona(self.username)
        if person is None:
            raise LookupError(self.username)
        return person

    def get_user_id(self) -> str:
        return self.persona.subject

    def for_audiences(self, audiences: tuple[str, ...]) -> Login:
        """Return the same sign-in for other audiences."""
        return replace(self, audiences=audiences)

    def is_older_than(self, seconds: int) -> bool:
        """Return whether the person signed in longer ago."""
        return time.time() - self.auth_time > seconds

    def does_for(self, asked: str) -> bool:
        """Return whether it was done in one of the ways of a request's `acr_values`, where those
        name one that there is.
        """
        known = [value for value in asked.split() if value in ACR_VALUES]
        return not known or self.acr in known

    def claims(self, scope: str) -> dict[str, Any]:
        """Return what the scopes let a token say about the person."""
        person, scopes = self.persona, scope.split()
        team = person.team(self.team)
        claims: dict[str, Any] = {
            "sub": person.subject,
            "auth_time": self.auth_time,
            "acr": self.acr,
        }
        if "profile" in scopes:
            claims |= {"name": person.name, "preferred_username": person.username}
        if "email" in scopes:
            claims |= {"email": f"{person.username}@example.com", "email_verified": True}
        if "groups" in scopes:
            claims["groups"] = list(person.groups)
            if team is not None:
                claims |= {"team": team.slug, "cost_center": team.cost_center}
        return claims

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)


def login_from(data: dict[str, Any]) -> Login:
    """Return the sign-in that `as_data` wrote."""
    return Login(**(data | {"audiences": tuple(data["audiences"])}))
