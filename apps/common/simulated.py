"""What is made up behind a page's figures, and the words that mark it: components/_simulated.html.

The local stack has no GPUs: its machines are KWOK's, its Spot prices and the bill of the machines
are invented, and where no model can be loaded the stand-in answers. Every page that shows a figure
resting on one of these says so. Which ones do: apps/fleet/simulated.py, and an engine's own name.
Pure.
"""

from dataclasses import dataclass

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


def marked(words: str, is_simulated: bool) -> str:
    """Return a figure in words, marked where it is simulated: "≈ 40 s (simulated)"."""
    return f"{words} ({MARK})" if is_simulated else words
