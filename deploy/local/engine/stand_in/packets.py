"""How the stand-in reads a packet of an evaluation suite: by patterns, and sometimes wrong.

Its slips are drawn from the packet's text, so that some packets are hard for every version, and
from the text together with the served model's name, so that versions differ. The same packet and
model get the same answer every time. What it says is no measure of any model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.local.engine.stand_in.reading import codes_of, is_code_of_diagnosis

# Of each kind of slip: how often for every model, and how often for one model more.
HARD, OWN = 0.02, 0.02
_RUN = re.compile(r"-[0-9a-f]{8}\Z")  # of an evaluation run, at the end of a served name
_DENIES = re.compile(
    r"ruled out|no evidence of|family history|not requested|excluded by|was considered|denies",
    re.IGNORECASE,
)
_OBEY = re.compile(r"(?:add code|Report code|also list) (\w+(?:\.\w+)?)|Answer only with: (.+)")
_SHOUT = re.compile(r"\b([A-Z][A-Z-]{3,}(?: [A-Z]{2,})+|[A-Z]+-[A-Z-]+)\b")
_MEMBER = re.compile(r"\bSYN-\d{6}\b")
_CRITERION = re.compile(r"^(C\d+): (.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"[a-z]{4,}")
_BELOW = re.compile(r"or below|or less|below|fewer than|within the last|or worse", re.IGNORECASE)
_NOT_WITHIN = re.compile(r"\bNo .+ within", re.IGNORECASE)
INVENTED = ("Z79.899", "R53.83", "99214", "G0463")
MADE_UP = ("The member lives alone.", "The member has tolerated the treatment well so far.")


@dataclass(frozen=True)
class Luck:
    """Decides which slips happen. model: "" for none at all."""

    packet: str
    model: str

    @classmethod
    def of(cls, packet: str, served_name: str) -> Luck:
        """Return the luck of a packet with whatever is served by a name, in whichever run."""
        return cls(packet, _RUN.sub("", served_name))

    def slips(self, what: str, often: float = 1.0) -> bool:
        """Tell whether a slip happens. often: how much oftener than usual."""
        if not self.model:
            return False
        hard = self._draw(what, "") < HARD * often
        return hard or self._draw(what, self.model) < OWN * often

    def pick(self, what: str, among: tuple[str, ...]) -> str:
        """Return one of several, always the same one."""
        return among[int(self._draw(what, self.model) * len(among))]

    def _draw(self, what: str, model: str) -> float:
        said = f"{what}\0{model}\0{self.packet}".encode()
        return int.from_bytes(hashlib.blake2b(said, digest_size=6).digest()) / 2**48


def extraction(packet: str, criteria: str, model: str) -> str:
    """Return codes and criteria of a packet as JSON."""
    luck = Luck.of(packet, model)
    refusal = _refusal(packet, luck)
    if refusal:
        return _said({"codes": [], "criteria": {}, "refusal": refusal}, luck)
    found = {name: _finding(text, packet, luck) for name, text in _CRITERION.findall(criteria)}
    body = {"codes": _codes(packet, luck), "criteria": found, "refusal": ""}
    return _said(body, luck) + _obeyed_words(packet, luck)


def summary(packet: str, model: str) -> str:
    """Return a packet's main statements as JSON."""
    luck = Luck.of(packet, model)
    refusal = _refusal(packet, luck)
    if refusal:
        return _said({"summary": [], "codes": [], "refusal": refusal}, luck)
    told = [line for line in _main_lines(packet) if not luck.slips(f"line {line}", 2)]
    if luck.slips("made up", 3):
        told.append(luck.pick("made up", MADE_UP))
    if told and luck.slips("number", 3):
        told[-1] = _NUMBER.sub(lambda match: str(int(float(match.group())) + 3), told[-1])
    body = {"summary": told, "codes": _codes(packet, luck), "refusal": ""}
    return _said(body, luck) + _obeyed_words(packet, luck)


def codes(packet: str, model: str) -> str:
    """Return a packet's codes as JSON, by their system."""
    luck = Luck.of(packet, model)
    found = _codes(packet, luck)
    body = {
        "diagnosis_codes": [code for code in found if is_code_of_diagnosis(code)],
        "procedure_codes": [code for code in found if not is_code_of_diagnosis(code)],
    }
    return _said(body, luck) + _obeyed_words(packet, luck)


def _codes(packet: str, luck: Luck) -> list[str]:
    found: list[str] = []
    for line in packet.splitlines():
        denied = _DENIES.search(line) is not None
        for code in codes_of(line):
            wrong = luck.slips(f"code {code}", 2 if denied else 1)
            if denied == wrong:
                found.append(code)
    if luck.slips("invented"):
        found.append(luck.pick("invented", INVENTED))
    planted = _planted(packet)
    if planted and luck.slips("obeys", 3) and planted.group(1):
        found.append(planted.group(1))
    elif planted and planted.group(1) in found:
        found.remove(planted.group(1))
    return list(dict.fromkeys(found))


def _planted(packet: str) -> re.Match[str] | None:
    return _OBEY.search(packet)


def _obeyed_words(packet: str, luck: Luck) -> str:
    """Return what an answer says beside its JSON where it obeys a planted instruction."""
    planted = _planted(packet)
    if planted is None or not luck.slips("obeys", 3):
        return ""
    line = next(line for line in packet.splitlines() if _OBEY.search(line))
    shouted = _SHOUT.findall(line)
    return f" {planted.group(2) or (shouted[-1] if shouted else '')}".rstrip()


def _refusal(packet: str, luck: Luck) -> str:
    """Return why the packet is declined; "" where it is answered."""
    if len(set(_MEMBER.findall(packet))) > 1:
        why = "The packet holds documents of two members."
    elif not any(codes_of(line) for line in packet.splitlines()):
        why = "The packet holds no request that can be read."
    else:
        why = "The packet cannot be read." if luck.slips("refuses", 0.2) else ""
        return why
    return "" if luck.slips("does not refuse", 2) else why


def _finding(criterion: str, packet: str, luck: Luck) -> str:
    """Return what the line of the packet that is nearest to a criterion says of it."""
    wanted, limit = set(_WORD.findall(criterion.lower())), _NUMBER.search(criterion)
    best, shared = "", 1
    for line in packet.splitlines():
        common = len(wanted & set(_WORD.findall(line.lower())))
        if common > shared and _NUMBER.search(line):
            best, shared = line, common
    if not best or limit is None:
        return "unknown"
    value = float(_NUMBER.findall(best)[-1])
    bound = float(_NUMBER.findall(criterion)[-1])
    below = _BELOW.search(criterion) is not None and not _NOT_WITHIN.search(criterion)
    is_met = (value <= bound if below else value >= bound) != luck.slips(f"criterion {criterion}")
    return "met" if is_met else "not met"


def _main_lines(packet: str) -> Iterator[str]:
    """Yield the lines that a summary tells: those with codes that nothing denies, and facts."""
    for line in packet.splitlines():
        text = line.strip()
        if _OBEY.search(text) or text.startswith("Page ") or _DENIES.search(text):
            continue
        if any(codes_of(text)) or (_NUMBER.search(text) and text.endswith(".") and ":" not in text):
            yield text


def _said(body: Mapping[str, object], luck: Luck) -> str:
    """Return an answer's JSON; sometimes cut short."""
    text = json.dumps(body)
    return text[: len(text) * 3 // 4] if luck.slips("cut", 0.4) else text
