"""Whom packets speak of: nobody. Names are put together from syllables of no language, and member
ids begin with SYN-, a form that no plan gives out.
"""

from dataclasses import dataclass
from random import Random

FIRST = (
    "Aldra", "Benvo", "Corsil", "Dovane", "Elquin", "Farrow", "Gwendil", "Hestor", "Ilvane",
    "Jorrick", "Kessia", "Lorvin", "Maristo", "Neldra", "Orrin", "Pelvia", "Quenby", "Rosvel",
    "Sorrel", "Tavish", "Ulvane", "Verrin", "Wystan", "Yolvie", "Zarrin",
)  # fmt: skip
LAST = (
    "Abberquill", "Brantome-Vey", "Cressold", "Dunmarrow", "Elderwick", "Fennimar", "Gollander",
    "Hathersby", "Inglevane", "Jessamond", "Kirrowen", "Lanthorpe", "Merriquay", "Nettlesham",
    "Ostravane", "Pellingworth", "Quillandry", "Ravensholt", "Sallowby", "Thornquist-Ley",
    "Umberleigh", "Vantrosse", "Wexcombe", "Yarrowdale", "Zellinghurst",
)  # fmt: skip
CLINICS = (
    "Clinic at Larkmere Bridge", "Oldfen Joint and Spine Rooms", "Harrowgate-on-Sea Practice",
    "Tallowmere Specialists", "Greystile Day Hospital", "Pinmarsh Health Rooms",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A made-up member with whoever asks for them."""

    name: str
    member_id: str
    age: int
    clinician: str
    clinic: str


def person(draw: Random) -> Person:
    """Return somebody who does not exist."""
    return Person(
        name=f"{draw.choice(FIRST)} {draw.choice(LAST)}",
        member_id=f"SYN-{draw.randrange(100_000, 1_000_000)}",
        age=draw.randrange(31, 86),
        clinician=f"Dr. {draw.choice(FIRST)} {draw.choice(LAST)}",
        clinic=draw.choice(CLINICS),
    )
