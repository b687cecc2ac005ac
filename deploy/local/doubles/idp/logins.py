"""One sign-in: who, for which team, when, for which audiences. Codes, refresh tokens and device
codes carry it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from .personas import Persona, find_persona


@dataclass(frozen=True)
class Login:
    """What the tokens of one sign-in say. Authlib takes it as its user."""

    username: str
    team: str
    auth_time: int
    family: str  # everything issued from this sign-in is revoked together
    audiences: tuple[str, ...] = ()

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

    def claims(self, scope: str) -> dict[str, Any]:
        """Return what the scopes let a token say about the person."""
        person, scopes = self.persona, scope.split()
        team = person.team(self.team)
        claims: dict[str, Any] = {"sub": person.subject, "auth_time": self.auth_time}
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
