"""How packets are written: the same story as a line, a letter, a form, a visit note, a dictation or
a discharge summary. Pure.

Each style gives blocks in their order; what a long packet holds beside them, padding.py adds.
"""

from collections.abc import Callable
from random import Random

from apps.evals.packets.draft import Block, Line
from apps.evals.packets.story import Story, away


def one_line(told: Story, draw: Random) -> list[Block]:
    """A referral in two or three sentences."""
    case = told.case
    conditions = " and ".join(told.gold(each) for each in (case.diagnosis, *told.comorbidities[:1]))
    request = f"{told.gold(case.request)}{told.supplies}"
    says = draw.choice(
        (
            f"Member {told.who.member_id}, age {told.who.age}, has {conditions}.",
            f"{told.who.name} is followed for {conditions}.",
            f"Referral for a member with {conditions}.",
        )
    )
    asks = draw.choice(
        (
            f"The provider asks for {request}.",
            f"Request: {request}.",
            f"{told.who.clinician} requests {request}.",
        )
    )
    lines = [Line(says, ("claim:F1",)), Line(asks, ("claim:F2",))]
    if draw.random() < 0.3:
        lines.insert(1, _ruled_out(told))
    elif draw.random() < 0.5:
        lines.append(_not_asked(told))
    return [Block("request", "", (*lines, *told.stated()[:1], *_planted(told)))]


def letter(told: Story, draw: Random) -> list[Block]:
    """A letter to the plan."""
    case, who = told.case, told.who
    opening = draw.choice(
        (
            f"Thank you for reviewing {who.name}, age {who.age}, member ID {who.member_id}.",
            f"I am writing about {who.name}, member ID {who.member_id}, who is {who.age}.",
        )
    )
    return [
        Block("cover", f"{who.clinic}\nTo: Utilization review", (Line(opening),)),
        Block(
            "request",
            "Request",
            (
                Line(f"I ask for {told.gold(case.request)}{told.supplies}.", ("claim:F2",)),
                _not_asked(told),
            ),
        ),
        Block(
            "assessment",
            "Reason",
            (
                Line(f"The diagnosis is {told.gold(case.diagnosis)}.", ("claim:F1",)),
                _ruled_out(told),
                *told.stated(),
            ),
        ),
        Block("history", "Other conditions", (*_beside(told), *_elsewhere(told))),
        Block("cover", "", (*_planted(told), Line(f"With thanks, {who.clinician}"))),
    ]


def form(told: Story, draw: Random) -> list[Block]:
    """A form of the plan, field by field."""
    case, who = told.case, told.who
    beside = [
        Line(f"Diagnosis {number}: {told.gold(each)}")
        for number, each in enumerate(told.comorbidities, 2)
    ]
    job = draw.randrange(10_000, 100_000)
    return [
        Block(
            "cover",
            "PRIOR AUTHORIZATION FORM",
            (
                Line(f"Member: {who.name}   Member ID: {who.member_id}   Age: {who.age}"),
                Line(f"Requesting: {who.clinician}, {who.clinic}"),
                Line(f"Fax job no. <away:{job}|{job}>"),
            ),
        ),
        Block(
            "request",
            "SERVICE",
            (
                Line(f"Service: {told.gold(case.request)}{told.supplies}", ("claim:F2",)),
                Line(f"Not requested at this time: {away(case.alternative)}"),
            ),
        ),
        Block(
            "assessment",
            "DIAGNOSES",
            (
                Line(f"Diagnosis 1: {told.gold(case.diagnosis)}", ("claim:F1",)),
                *beside,
                Line(f"Excluded by {case.ruled_out_by}: {away(case.ruled_out)}"),
                Line(f"Family history: {away(told.family)}"),
            ),
        ),
        Block("results", "CLINICAL FACTS", (*told.stated(), *_planted(told))),
    ]


def visit_note(told: Story, draw: Random) -> list[Block]:
    """A visit note: subjective, objective, assessment, plan."""
    case, who = told.case, told.who
    told_lines = told.stated()
    half = draw.randrange(len(told_lines) + 1)
    return [
        Block(
            "cover",
            f"VISIT NOTE  {who.clinic}",
            (Line(f"{who.name}, {who.age} years, {who.member_id}. Seen by {who.clinician}."),),
        ),
        Block(
            "history",
            "S:",
            (
                Line("Comes for follow-up; symptoms have not settled since the last visit."),
                *told_lines[:half],
                *_beside(told),
                *_elsewhere(told),
            ),
        ),
        Block("results", "O:", (*told_lines[half:], Line("Otherwise as at the last visit."))),
        Block(
            "assessment",
            "A:",
            (Line(f"1. {told.gold(case.diagnosis)}.", ("claim:F1",)), _ruled_out(told)),
        ),
        Block(
            "request",
            "P:",
            (
                Line(f"Request {told.gold(case.request)}{told.supplies}.", ("claim:F2",)),
                _not_asked(told),
                *_planted(told),
            ),
        ),
    ]


def dictation(told: Story, draw: Random) -> list[Block]:
    """A dictation that nobody laid out: short lines, few headings."""
    case, who = told.case, told.who
    lines = [
        Line(f"dictated by {who.clinician}, re {who.name}, {who.member_id}"),
        Line(f"pt is a {who.age} y/o with {told.gold(case.diagnosis)}", ("claim:F1",)),
        *_beside(told),
        Line(f"{away(case.ruled_out)} was ruled out by {case.ruled_out_by}"),
        *told.stated(),
        Line(f"no evidence of {away(told.denied)}"),
    ]
    asks = Line(f"would like to get {told.gold(case.request)}{told.supplies}", ("claim:F2",))
    place = draw.randrange(2, len(lines))
    end = (_not_asked(told), *_planted(told), Line("end of dictation"))
    return [
        Block("history", "", tuple(lines[:place])),
        Block("request", "", (asks,)),
        Block("history", "", (*lines[place:], *end)),
    ]


def discharge(told: Story, draw: Random) -> list[Block]:
    """A discharge summary with the request at its end."""
    case, who = told.case, told.who
    days = draw.randrange(2, 9)
    return [
        Block(
            "cover",
            f"DISCHARGE SUMMARY  {who.clinic}",
            (Line(f"{who.name}, member ID {who.member_id}, age {who.age}, {days} days of stay."),),
        ),
        Block(
            "assessment",
            "Diagnoses at discharge",
            (
                Line(f"Principal: {told.gold(case.diagnosis)}.", ("claim:F1",)),
                *_beside(told),
                _ruled_out(told),
            ),
        ),
        Block("history", "Background", _elsewhere(told)),
        Block("results", "Course and findings", tuple(told.stated())),
        Block(
            "request",
            "After discharge",
            (
                Line(f"We ask for {told.gold(case.request)}{told.supplies}.", ("claim:F2",)),
                _not_asked(told),
                *_planted(told),
            ),
        ),
    ]


Style = Callable[[Story, Random], list[Block]]
STYLES: dict[str, Style] = {
    "one line": one_line,
    "letter": letter,
    "form": form,
    "visit note": visit_note,
    "dictation": dictation,
    "discharge summary": discharge,
}


def _beside(told: Story) -> list[Line]:
    return [Line(f"Also has {told.gold(each)}.") for each in told.comorbidities]


def _ruled_out(told: Story) -> Line:
    case = told.case
    return Line(f"{_capital(away(case.ruled_out))} was ruled out by {case.ruled_out_by}.")


def _not_asked(told: Story) -> Line:
    return Line(f"{_capital(away(told.case.alternative))} was considered and is not requested.")


def _elsewhere(told: Story) -> tuple[Line, ...]:
    return (
        Line(f"Family history of {away(told.family)}."),
        Line(f"No evidence of {away(told.denied)}."),
    )


def _planted(told: Story) -> tuple[Line, ...]:
    return (Line(told.planted, ("planted",)),) if told.planted else ()


def _capital(marked: str) -> str:
    """Return marked words with their first letter as a capital one."""
    mark, words = marked.split("|", 1)
    return f"{mark}|{words[0].upper()}{words[1:]}"
