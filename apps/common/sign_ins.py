"""How fresh a person's sign-in must be before they decide. Pure: no clock, no session, no token.

Whoever lets a person in (apps/accounts/step_up.py) says when and how they proved who they are, on
the person itself. `decisions.permit` asks for it, so that every decision does, through whichever
door it comes. A person of whom nobody said it (a shell, a worker, a program's account) decides
nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from apps.common.clocks import CLOCKS_APART
from apps.common.counts import counted
from apps.common.errors import NotPermitted

LEEWAY_SECONDS = int(
    CLOCKS_APART.total_seconds()
)  # by which the identity provider's clock may be ahead of ours


class Lack(StrEnum):
    """What a sign-in lacks for a decision."""

    TIME = "time"
    FRESHNESS = "freshness"
    METHOD = "method"
    OTHER_METHOD = "other method"


@dataclass(frozen=True)
class SignIn:
    """When and how a person proved who they are, and what decisions ask for.

    age_seconds: since they did, at this request; None where nobody said, or where the time lies
    ahead. max_age_seconds: the oldest that decisions take. acr: how, as the identity provider calls
    it, "" where it did not say. acr_values: which of them decisions take; none: any.
    """

    age_seconds: int | None
    max_age_seconds: int
    acr: str = ""
    acr_values: tuple[str, ...] = ()

    @property
    def lack(self) -> Lack | None:
        """Return what is missing for a decision, None where nothing is."""
        if self.age_seconds is None or self.age_seconds < -LEEWAY_SECONDS:
            return Lack.TIME
        if self.age_seconds > self.max_age_seconds:
            return Lack.FRESHNESS
        if not self.acr_values or self.acr in self.acr_values:
            return None
        return Lack.OTHER_METHOD if self.acr else Lack.METHOD

    @property
    def words(self) -> str:
        """Return what is missing, as one sentence; "" where nothing is."""
        return self._sentences()[self.lack] if self.lack else ""

    def _sentences(self) -> dict[Lack, str]:
        """Return the sentence of each lack."""
        needs = f"a decision needs a sign-in of the last {span(self.max_age_seconds)}"
        methods = " or ".join(self.acr_values)
        return {
            Lack.TIME: f"Nothing says when you signed in, and {needs}.",
            Lack.FRESHNESS: f"You signed in {span(self.age_seconds or 0)} ago, and {needs}.",
            Lack.METHOD: f"Nothing says how you signed in, and a decision needs {methods}.",
            Lack.OTHER_METHOD: f"You signed in by {self.acr}, and a decision needs {methods}.",
        }


# Of people who are made up, and so have just signed in: those of the sample and of tests.
JUST_NOW = SignIn(age_seconds=0, max_age_seconds=0)


class FreshSignInNeeded(NotPermitted):
    """The person may decide, once they have signed in again.

    sign_in: the one that does not do; None where nobody said anything of one.
    """

    code = "fresh_sign_in_needed"

    def __init__(self, sign_in: SignIn | None) -> None:
        super().__init__(
            sign_in.words if sign_in else "Only a person who has just signed in decides."
        )
        self.sign_in = sign_in


class SignedInPerson(Protocol):
    """Somebody who may have signed in."""

    sign_in: Any


def require_fresh_sign_in(person: SignedInPerson) -> None:
    """Raise FreshSignInNeeded unless the person signed in recently enough to decide."""
    if person.sign_in is None or person.sign_in.lack:
        raise FreshSignInNeeded(person.sign_in)


def span(seconds: int) -> str:
    """Return a length of time in words: "40 seconds", "15 minutes", "3 hours"; never rounded up."""
    if seconds < 60:
        return counted(seconds, "second")
    minutes = seconds // 60
    return counted(minutes, "minute") if minutes < 120 else counted(minutes // 60, "hour")
