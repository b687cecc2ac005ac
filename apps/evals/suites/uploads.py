"""A team's own suite as it is sent: checked whole, every problem named with its line. Pure.

{"slug": "…", "title": "…", "about": "…", "judges": ["prior-auth-extract"],
 "thresholds": {"f1": {"minimum": 0.8}}, "rule": {…}, "question": {…}, "packets": [{…}]}
In place of packets, packets_of names a suite whose packets it takes. No problem repeats what was
sent: that may be what must not be seen.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from apps.evals.packets.packet import Packet
from apps.evals.scoring.decision import BadRule, Rule
from apps.evals.scoring.figures import LABELS
from apps.evals.suites import documents, member_data
from apps.evals.suites.documents import BadDocument, Problem
from apps.evals.suites.questions import BadQuestion, Question
from apps.evals.suites.upload_packets import BadPacket, is_id, is_text, read_packet

MOST_BYTES = 16 * 1024 * 1024
MOST_PACKETS = 1000
MOST_PROBLEMS = 50
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
HEADER = {
    "slug", "title", "about", "judges", "thresholds", "rule", "question", "packets_of",
}  # fmt: skip
NEEDED = ("slug", "title", "judges", "thresholds")


@dataclass(frozen=True)
class Upload:
    """A suite that was sent. packets: empty where packets_of names the suite whose packets it
    takes; question, rule: None where they are that suite's.
    """

    slug: str
    title: str
    about: str
    judges: tuple[str, ...]
    thresholds: dict[str, dict[str, float]]
    rule: dict[str, Any] | None
    question: dict[str, Any] | None
    packets_of: str
    packets: tuple[Packet, ...]


def read_upload(content: bytes) -> Upload:
    """Return the suite that a document holds. Raises BadDocument with up to MOST_PROBLEMS
    problems.
    """
    if len(content) > MOST_BYTES:
        words = f"a suite may have {MOST_BYTES // 1024**2} MB at most."
        raise BadDocument([Problem(1, words)])
    header, packets = documents.read(content)
    problems = [*_of_header(header, has_packets=bool(packets)), *_of_text(header, header.line)]
    made = list(_packets(packets, problems))
    if problems:
        rest = len(problems) - MOST_PROBLEMS
        more = [Problem(problems[-1].line, f"and {rest} more problems.")] if rest > 0 else []
        raise BadDocument([*problems[:MOST_PROBLEMS], *more])
    return Upload(
        slug=header["slug"],
        title=header["title"],
        about=header.get("about", ""),
        judges=tuple(header["judges"]),
        thresholds=_plain(header["thresholds"]),
        rule=Rule.of_json(header["rule"]).as_json() if "rule" in header else None,
        question=_plain(header["question"]) if "question" in header else None,
        packets_of=header.get("packets_of", ""),
        packets=tuple(made),
    )


def _of_header(header: Mapping[str, Any], *, has_packets: bool) -> Iterator[Problem]:
    line = getattr(header, "line", 1)
    for words in _header_words(header, has_packets=has_packets):
        yield Problem(line, words)


def _header_words(header: Mapping[str, Any], *, has_packets: bool) -> Iterator[str]:
    if set(header) - HEADER:
        yield f"a suite has the fields {', '.join(sorted(HEADER))} and packets, and no others."
    yield from (f"{name} is missing." for name in NEEDED if name not in header)
    if "slug" in header and not is_id(header["slug"]):
        yield "slug has lower-case letters, digits and hyphens, 40 at most."
    if not is_text(header.get("title", "-"), 120) or not header.get("title", "-"):
        yield "title is a text of 1 to 120 characters."
    if not is_text(header.get("about", ""), 2000):
        yield "about is a text of 2,000 characters at most."
    if not _are_ids(header.get("judges", [])):
        yield "judges is a list of names of models."
    yield from _threshold_words(header.get("thresholds", {}))
    yield from _part_words(header, has_packets=has_packets)


def _part_words(header: Mapping[str, Any], *, has_packets: bool) -> Iterator[str]:
    """Yield what is wrong with rule and question, and with where the packets come from."""
    taken = header.get("packets_of", "")
    if taken and not is_id(taken):
        yield "packets_of is the slug of a suite."
    if bool(taken) == has_packets:
        yield "a suite has packets of its own, or packets_of names the suite whose it takes."
    if has_packets and "question" not in header:
        yield "question is missing."
    for name, reads, error in (
        ("rule", Rule.of_json, BadRule),
        ("question", Question.of_json, BadQuestion),
    ):
        if name in header:
            try:
                reads(header[name])
            except error as wrong:
                yield f"{name}: {wrong}"


def _threshold_words(thresholds: Any) -> Iterator[str]:
    if not isinstance(thresholds, dict):
        yield "thresholds names figures, each with a minimum or a maximum."
        return
    if not thresholds:
        yield "thresholds names at least one figure."
    for name, limits in thresholds.items():
        if name not in LABELS:
            yield f"thresholds names something that is no figure. Figures: {', '.join(LABELS)}."
        elif (
            not isinstance(limits, dict)
            or len(limits) != 1
            or not set(limits) <= {"minimum", "maximum"}
            or not all(_is_number(value) for value in limits.values())
        ):
            yield f"thresholds: {name} has a minimum or a maximum, which is a number of 0 or more."


def _packets(packets: Sequence[Any], problems: list[Problem]) -> Iterator[Packet]:
    """Yield the packets; what is wrong goes to `problems`."""
    if len(packets) > MOST_PACKETS:
        problems.append(Problem(1, f"a suite may have {MOST_PACKETS:,} packets at most."))
        return
    seen: dict[str, int] = {}
    for number, found in enumerate(packets, 1):
        line = getattr(found, "line", 1)
        problems += _of_text(found, line, f"packet {number}, ")
        try:
            packet = read_packet(found)
        except BadPacket as error:
            problems.append(Problem(line, f"packet {number}: {error}"))
            continue
        if packet.id in seen:
            words = f"packet {number}: its id stands in line {seen[packet.id]} already."
            problems.append(Problem(line, words))
        seen.setdefault(packet.id, line)
        yield packet


def _of_text(found: Any, line: int, where: str = "") -> list[Problem]:
    """Return what no text of an object may hold: member data, and what no database keeps."""
    problems = []
    for name, text in _texts(found):
        if _UNSTORABLE.search(text):
            words = f"{where}{name}: it holds a character that cannot be stored."
            problems.append(Problem(line, words))
        for each in islice(member_data.find(text), MOST_PROBLEMS):
            place = f"line {each.line}, column {each.column} of its text"
            words = f"{where}{name}, {place}: this looks like {each.kind}."
            problems.append(Problem(line, words))
    return problems


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a value with the field it stands in, names of fields included."""
    if isinstance(value, str):
        yield name or "text", value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, name)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield "a field's name", key
            yield from _texts(each, name or (key if key.isidentifier() else "a field"))


def _plain(value: Any) -> Any:
    """Return JSON data without its lines."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 100 and all(map(is_id, value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e9
