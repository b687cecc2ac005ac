"""What the engines counted beside what the gateway metered, and what each difference is. Pure.

Both count tokens of the same calls, each in its own way: the gateway once per call that told its
usage, the engine whatever it read and wrote. A difference has a name, or it is unexplained.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from apps.common.counts import counted

# Calls over the edge of an hour count in the hour of their start here, and as they are written
# there; and the engine tells the tokens of a minute to within a scrape.
TOLERANCE = 0.005
MORE = "The engine counted more: calls straight to a pod, or of another gateway."
AGAIN = "Calls asked for several answers, for each of which the engine counts the prompt once more."
RERANKED = "It reranked, which the engine counts the tokens of and no answer tells."
LESS = "The engine counted less: it was started anew between two looks, and what it forgot is gone."


class State(StrEnum):
    """How a day of a version ends up."""

    MATCHES = "MATCHES"
    UNEXPLAINED = "UNEXPLAINED"
    UNKNOWN = "UNKNOWN"  # no hour of it was watched, so that there is nothing to compare


@dataclass(frozen=True)
class Side:
    """One kind of token of a day, in the hours in which the engine was watched.

    engine: what it counted. metered: what the gateway metered. estimated: of calls without usage
    (their client left, they ended early or were broken off), from the engine's own figures. named:
    what the engine counted beyond that for a reason that is known.
    """

    engine: int
    metered: int
    estimated: int
    named: int = 0

    @property
    def difference(self) -> int:
        """Return how many more the engine counted; negative: fewer."""
        return self.engine - self.metered

    @property
    def rest(self) -> int:
        """Return what is left of the difference once it is named."""
        return self.difference - self.estimated - self.named

    def is_explained(self, room: int) -> bool:
        """Tell whether the rest is within tolerance. room: tokens that one call may have, for a
        call that was under way at the day's edge.
        """
        return abs(self.rest) <= max(TOLERANCE * self.engine, room)


@dataclass(frozen=True)
class Day:
    """One UTC day of a version. watched_hours: in which its engine was counted without a gap, and
    which are compared. unwatched_hours: with calls or counts that cannot be compared.
    unwatched_tokens: metered in them. context: tokens of one call of the model at most.
    further_answers: that requests asked for beyond one each. reranks: answered.
    """

    day: date
    model: str
    version: str
    watched_hours: int
    unwatched_hours: int
    unwatched_tokens: int
    context: int
    input: Side
    output: Side
    further_answers: int = 0
    reranks: int = 0

    @property
    def state(self) -> State:
        """Return whether both sides agree."""
        if not self.watched_hours:
            return State.UNKNOWN
        sides = (self.input, self.output)
        return (
            State.MATCHES
            if all(side.is_explained(self.context) for side in sides)
            else State.UNEXPLAINED
        )

    @property
    def unexplained(self) -> int:
        """Return how many tokens nothing explains, of both kinds; 0 where the day matches."""
        if self.state != State.UNEXPLAINED:
            return 0
        sides = (self.input, self.output)
        return sum(abs(side.rest) for side in sides if not side.is_explained(self.context))

    @property
    def words(self) -> str:
        """Return what people should know of it; "" where it matches and was always watched."""
        said = []
        if self.state == State.UNEXPLAINED:
            worst = max((self.input, self.output), key=lambda side: abs(side.rest))
            said.append(MORE if worst.rest > 0 else LESS)
        if self.reranks and self.input.named:
            said.append(RERANKED)
        elif self.input.named:
            said.append(AGAIN)
        if self.unwatched_hours:
            hours = counted(self.unwatched_hours, "hour")
            said.append(f"In {hours} the engine was not watched all the time.")
        return " ".join(said)


def named(rest: int, *, further_answers: int, reranks: int, context: int) -> int:
    """Return how much of what the engine read beyond the gateway's figures has a name: all of it
    where it reranked, else at most the context for each further answer of a request (vllm#56361).
    """
    if rest <= 0:
        return 0
    return rest if reranks else min(rest, further_answers * context)


@dataclass(frozen=True)
class Summary:
    """What the days of a month come to."""

    days: int
    unexplained_days: int
    unknown_days: int
    unexplained_tokens: int
    estimated_tokens: int


def summary(days: list[Day]) -> Summary:
    """Return what the days come to."""
    states = [day.state for day in days]
    return Summary(
        days=len(days),
        unexplained_days=states.count(State.UNEXPLAINED),
        unknown_days=states.count(State.UNKNOWN),
        unexplained_tokens=sum(day.unexplained for day in days),
        estimated_tokens=sum(day.input.estimated + day.output.estimated for day in days),
    )
