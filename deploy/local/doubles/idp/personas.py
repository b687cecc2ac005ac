"""The people of the local stack, read from personas.json: who they are, their groups, the teams
they may act for.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).with_name("personas.json")


@dataclass(frozen=True)
class Team:
    """A team that a person may act for, and the cost center that then pays."""

    slug: str
    cost_center: str


@dataclass(frozen=True)
class Persona:
    """One person."""

    username: str
    name: str
    role: str  # for the sign-in page; rights come from groups
    groups: tuple[str, ...]
    teams: tuple[Team, ...]

    @property
    def subject(self) -> str:
        """The claim `sub`: stable, and not the user name."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:quartermaster:persona:{self.username}"))

    @property
    def summary(self) -> str:
        """What the person does and for whom, in one line."""
        return " · ".join([self.role, *(team.slug for team in self.teams)])

    def team(self, slug: str | None) -> Team | None:
        """Return the chosen team, the only one where none was chosen, else None."""
        if not slug and len(self.teams) == 1:
            return self.teams[0]
        return next((team for team in self.teams if team.slug == slug), None)


@cache
def all_personas() -> tuple[Persona, ...]:
    """Return everybody, in the order of the sign-in page."""
    return tuple(
        Persona(
            username=row["username"], name=row["name"], role=row["role"],
            groups=tuple(row["groups"]),
            teams=tuple(Team(**team) for team in row["teams"]),
        )
        for row in json.loads(DATA.read_text())
    )  # fmt: skip


def find_persona(username: str) -> Persona | None:
    """Return the person with this user name."""
    return next((person for person in all_personas() if person.username == username), None)
