"""What stands between a call and its answer, rule by rule: what is asked, and what is found. Pure.

Every rule is a Check: it lets the call pass, refuses it, or nobody knows. Who a call is and what
it asks for are told apart from what the portal can know before the call was made: a check of the
call's own words `depends` on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class Verdict(StrEnum):
    """What a rule says of a call."""

    PASSED = "PASSED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    NOT_REACHED = "NOT_REACHED"  # an earlier rule had refused it


class Rule(StrEnum):
    """The rules, in the order in which a call meets them."""

    TOKEN = "TOKEN"  # noqa: S105 - no password
    MODEL = "MODEL"
    GRANT = "GRANT"
    GATE = "GATE"
    REQUEST = "REQUEST"
    BUDGET = "BUDGET"
    AT_ONCE = "AT_ONCE"
    MINUTE = "MINUTE"
    GUARD = "GUARD"
    REPLICA = "REPLICA"
    ANSWER = "ANSWER"


# the response code of a call that a rule refuses, as far as one code says it
CODES = {
    Rule.TOKEN: 401,
    Rule.MODEL: 404,
    Rule.GRANT: 403,
    Rule.GATE: 502,
    Rule.REQUEST: 400,
    Rule.BUDGET: 402,
    Rule.AT_ONCE: 429,
    Rule.MINUTE: 429,
    Rule.GUARD: 400,
    Rule.REPLICA: 503,
}
TITLES = {
    Rule.TOKEN: "Access token",
    Rule.MODEL: "Model",
    Rule.GRANT: "Grant",
    Rule.GATE: "Gate",
    Rule.REQUEST: "Request",
    Rule.BUDGET: "Budget",
    Rule.AT_ONCE: "Calls at once",
    Rule.MINUTE: "Tokens per minute",
    Rule.GUARD: "Guardrails",
    Rule.REPLICA: "Replica",
    Rule.ANSWER: "Answer",
}


@dataclass(frozen=True)
class Counter:
    """What a rule counts. used: what counts against the limit; held: how much of it calls under
    way hold; in words, `text`. resets_at: when it begins anew, None where it does not.
    """

    used: Decimal
    held: Decimal
    limit: Decimal
    text: str
    resets_at: datetime | None = None
    note: str = ""

    @property
    def tone(self) -> str:
        """Return how its meter is colored."""
        return "bad" if self.used + self.held >= self.limit else "busy"


@dataclass(frozen=True)
class Check:
    """A rule, and what it says of a call. says: what was found, in a sentence. todo: what to do
    about it, with the page that helps, "" where there is nothing. depends: on the call's own words.
    perhaps: another rule that it may have been instead, where nobody kept which of them.
    """

    rule: Rule
    verdict: Verdict
    says: str
    todo: str = ""
    url: str = ""
    link: str = ""
    about: str = ""  # whose: which budget
    depends: bool = False
    counter: Counter | None = None
    perhaps: Rule | None = None

    @property
    def title(self) -> str:
        """Return what is checked: "Budget of claims-review"."""
        if self.perhaps:
            return f"{TITLES[self.rule]} or {TITLES[self.perhaps].lower()}"
        return f"{TITLES[self.rule]} of {self.about}" if self.about else TITLES[self.rule]

    @property
    def code(self) -> int | None:
        """Return the response code of a call that it refuses."""
        return CODES.get(self.rule)


@dataclass(frozen=True)
class Answer:
    """What is said of a call. checks: in the order in which a call meets them."""

    checks: Sequence[Check]

    @property
    def refused(self) -> Check | None:
        """Return the first rule that refuses it."""
        return next((check for check in self.checks if check.verdict == Verdict.REFUSED), None)

    @property
    def unknown(self) -> list[Check]:
        """Return the rules of which nobody knows, though they do not depend on the call."""
        return [
            check for check in self.checks if check.verdict == Verdict.UNKNOWN and not check.depends
        ]

    @property
    def is_allowed(self) -> bool | None:
        """Return whether the call goes on; None where that is not known."""
        if self.refused:
            return False
        return None if self.unknown else True
