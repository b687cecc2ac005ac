"""What one packet tells, before it is written down: who asks for what, what the packet knows of
each criterion, and what is there only to be left out. Pure.
"""

from dataclasses import dataclass, replace
from random import Random

from apps.evals.packets.cases import CASES, COMORBIDITIES, ELSEWHERE, Case, Coded, Policy
from apps.evals.packets.draft import Line
from apps.evals.packets.packet import Finding
from apps.evals.packets.people import Person, person


@dataclass(frozen=True)
class Known:
    """A criterion, its id, and what the packet says of it: "" where it does not say."""

    id: str
    policy: Policy
    finding: Finding
    says: str

    @property
    def line(self) -> Line:
        """Return the packet's line about it, which is a fact worth telling too."""
        return Line(self.says, (f"criterion:{self.id}", f"claim:{self.id}"))


@dataclass(frozen=True)
class Story:
    """in_words: codes that the packet gives in words alone. family, denied: what a right answer
    leaves out beside what was ruled out and the alternative. planted: an instruction, or "".
    """

    case: Case
    who: Person
    other: Person
    comorbidities: tuple[Coded, ...]
    known: tuple[Known, ...]
    family: Coded
    denied: Coded
    in_words: frozenset[str] = frozenset()
    planted: str = ""

    def gold(self, coded: Coded) -> str:
        """Return the words of a code that a right answer has, with their mark."""
        words = coded.words if coded.code in self.in_words else f"{coded.words} ({coded.code})"
        return f"<gold:{coded.code}|{words}>"

    @property
    def supplies(self) -> str:
        """Return what is asked for beside the request: " with …", or nothing."""
        asked = [self.gold(each) for each in self.case.supplies]
        return f" with {' and '.join(asked)}" if asked else ""

    def stated(self) -> list[Line]:
        """Return the lines about the criteria that the packet speaks of."""
        return [known.line for known in self.known if known.says]


def away(coded: Coded) -> str:
    """Return the words of a code that a right answer leaves out, with their mark."""
    return f"<away:{coded.code}|{coded.words} ({coded.code})>"


def story(draw: Random, *, in_words: int = 0, missing: int = 0, planted: str = "") -> Story:
    """Return what a packet tells. in_words: how many of the conditions beside the main one have no
    code in the text; missing: of how many criteria the packet says nothing.
    """
    case = draw.choice(CASES)
    own = (case.diagnosis.code[:3], case.ruled_out.code[:3])
    others = [each for each in COMORBIDITIES if each.code[:3] not in own]
    beside = tuple(draw.sample(others, draw.randrange(1, 4)))
    family, denied = draw.sample(ELSEWHERE, 2)
    silent = set(draw.sample(range(len(case.criteria)), missing))
    known = tuple(
        _known(draw, f"C{place + 1}", policy, silent=place in silent)
        for place, policy in enumerate(case.criteria)
    )
    return Story(
        case=case,
        who=person(draw),
        other=person(draw),
        comorbidities=beside,
        known=known,
        family=family,
        denied=denied,
        in_words=frozenset(each.code for each in beside[:in_words]),
        planted=planted,
    )


def _known(draw: Random, name: str, policy: Policy, *, silent: bool) -> Known:
    if silent:
        return Known(name, policy, "unknown", "")
    is_met = draw.random() < 0.7
    low, high = policy.met if is_met else policy.unmet
    number = draw.randrange(low, high + 1)
    finding: Finding = "met" if is_met else "not met"
    return Known(name, policy, finding, policy.says.replace("{n}", str(number)))


def another_member(told: Story, draw: Random) -> Story:
    """Return the story of somebody else, whose pages went into the same packet."""
    return replace(story(draw), who=told.other, known=())
