"""What fills a long packet beside its story: visits, vital signs, therapy sessions, lists. It names
no code and says nothing of a criterion. Pure.
"""

from random import Random

from apps.evals.packets.draft import Block, Line

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_VISIT = (
    "Seen for follow-up. The plan of the last visit was carried out as agreed.",
    "Reports sleeping better on most nights and waking early on some.",
    "No new complaints today. Appetite is good.",
    "Brought a list of questions, which were gone through one by one.",
    "Asked about travel next month; advised to carry all medicines in the hand luggage.",
    "Skin is warm and dry. Breathing is quiet.",
    "Gait is steady on level ground. The stairs were not tried today.",
    "Denies fever, chills and weight loss.",
    "Understands the plan and repeats it in own words.",
    "A letter for the employer was written and handed over.",
    "The next visit is in about four weeks, sooner if anything changes.",
    "The home program was gone through again, with a sheet to take along.",
)
_SESSION = (
    "Warm-up on the stationary bicycle, then stretching of the large muscle groups.",
    "Balance work on a soft surface with one hand on the rail.",
    "Tolerated the session well and rested twice.",
    "Exercises were done with light resistance; form was corrected once.",
    "Came late because of traffic, so the session was cut short.",
    "Goals for the week were agreed on and written down.",
)
_NURSING = (
    "Called the member about the upcoming appointment; the message was understood.",
    "Medicine list was compared with what is in the cupboard at home. They agree.",
    "The transport service was arranged for the morning.",
    "A neighbor helps with shopping twice a week.",
    "Pharmacy asked for a new form, which was sent the same day.",
    "Diet sheet handed out again, as the first one was lost.",
)
_MEDICINES = (
    "acetaminophen as needed", "a multivitamin each morning", "saline nasal spray at night",
    "a stool softener as needed", "hand cream twice a day", "artificial tears as needed",
    "a calcium tablet with dinner", "cough syrup for a week",
)  # fmt: skip


def block(draw: Random) -> Block:
    """Return one block that a long packet holds beside its story."""
    kinds = (_visit, _session, _nursing, _vitals, _medicines)
    return draw.choice(kinds)(draw)


def _day(draw: Random) -> str:
    return f"{draw.choice(MONTHS)} {draw.randrange(1, 29)}"


def _said(draw: Random, lines: tuple[str, ...]) -> tuple[Line, ...]:
    return tuple(Line(line) for line in draw.sample(lines, draw.randrange(3, len(lines) + 1)))


def _visit(draw: Random) -> Block:
    return Block("notes", f"Progress note, {_day(draw)}", _said(draw, _VISIT))


def _session(draw: Random) -> Block:
    return Block("therapy", f"Therapy session, {_day(draw)}", _said(draw, _SESSION))


def _nursing(draw: Random) -> Block:
    return Block("notes", f"Care coordination, {_day(draw)}", _said(draw, _NURSING))


def _vitals(draw: Random) -> Block:
    lines = tuple(
        Line(
            f"{_day(draw)}: blood pressure {draw.randrange(108, 149)}/{draw.randrange(62, 93)}, "
            f"pulse {draw.randrange(56, 97)}, temperature 98.{draw.randrange(10)}, "
            f"breaths {draw.randrange(12, 20)}"
        )
        for _ in range(draw.randrange(4, 9))
    )
    return Block("results", "Vital signs", lines)


def _medicines(draw: Random) -> Block:
    chosen = draw.sample(_MEDICINES, draw.randrange(3, len(_MEDICINES)))
    return Block("medications", f"Medicines, {_day(draw)}", tuple(Line(f"- {m}") for m in chosen))
