"""What is made up behind a page's figures, and the words that mark it: components/_simulated.html,
and the sample in the shell of every page.

The local stack has no GPUs: its machines are KWOK's, its Spot prices and the bill of the machines
are invented, and where no model can be loaded the stand-in answers. Every page that shows a figure
resting on one of these says so. Which ones do: apps/fleet/simulated.py, and an engine's own name.
Pure.
"""

from dataclasses import dataclass
from datetime import datetime

MARK = "simulated"
ENGINE_WORDS = (
    "A labeled stand-in answers calls here instead of a model: its tokens, times and costs say "
    "nothing about the model."
)
MACHINE_WORDS = (
    "The machines are simulated: how long they take to start is not what real ones take."
)
PRICE_WORDS = "Spot prices are simulated."
BILL_WORDS = "The bill is simulated: nobody pays it."


@dataclass(frozen=True)
class Simulated:
    """What behind a page's figures is made up: the engine that answered, machines, prices, the
    cloud's bills. False where nothing is.
    """

    engine: bool = False
    machines: bool = False
    prices: bool = False
    bills: bool = False

    def __bool__(self) -> bool:
        return self.engine or self.machines or self.prices or self.bills

    @property
    def tone(self) -> str:
        """Return the tone of the notice: figures of no model weigh more than made-up machines."""
        return "warn" if self.engine else "draft"

    @property
    def words(self) -> str:
        """Return what is made up, in sentences."""
        parts = (
            (self.engine, ENGINE_WORDS),
            (self.machines, MACHINE_WORDS),
            (self.prices, PRICE_WORDS),
            (self.bills, BILL_WORDS),
        )
        return " ".join(words for is_so, words in parts if is_so)


SAMPLE_MARK = "Sample"
SAMPLE_DOCUMENT_WORDS = (
    "Sample. The calls, machines, prices and bills behind this statement are made up: nobody owes "
    "anything by it."
)


@dataclass(frozen=True)
class Sample:
    """The year of a company that does not exist, [since, until), as pages tell of it. days, stored:
    how many it has, and how many are there; is_finished: its months are closed, too.
    """

    company: str
    since: datetime
    until: datetime
    days: int
    stored: int
    is_finished: bool

    @property
    def mark(self) -> str:
        """Return the word that marks a page."""
        return SAMPLE_MARK

    @property
    def words(self) -> str:
        """Return what is made up, in sentences."""
        return (
            f"{self.company} does not exist. Its people, calls, machines, prices, bills and closed "
            f"months until {self.until:%d %b %Y %H:%M} UTC are made up, and went through the same "
            f"doors as real ones. What comes later is what happens here."
        )

    @property
    def progress(self) -> str:
        """Return how far it is brought in, in a few words; "" once it is."""
        if self.is_finished:
            return ""
        if self.stored < self.days:
            return f"{self.stored} of {self.days} days are there"
        return "its months are being closed"


def marked(words: str, is_simulated: bool) -> str:
    """Return a figure in words, marked where it is simulated: "≈ 40 s (simulated)"."""
    return f"{words} ({MARK})" if is_simulated else words
