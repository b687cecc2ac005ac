"""The events of a stream that wait: which may go on, and with what words. Pure.

Events go whole. Each text keeps its order, and what ends an answer comes after all of it; an event
of another text need not wait, or the last words of a reasoning would hold back the answer behind
it. An event with pieces of several texts is taken apart for the same reason.
"""

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.gateway.gate.answers import Event
from apps.gateway.guard.masks import Mask, masked, merged
from apps.gateway.guard.places import (
    Lane,
    Part,
    choices_of,
    drop_logprobs,
    index_of,
)
from apps.gateway.guard.window import Look, Reach, Span, Written

DONE = b"[DONE]"


@dataclass
class Flow:
    """One text of an answer, and what each rule has seen of it. holds: which of the looks hold the
    text back, by their numbers.
    """

    where: str
    choice: int | None
    looks: list[Look]
    holds: Sequence[int]
    written: Written = field(default_factory=Written)
    masks: list[Mask] = field(default_factory=list)

    @classmethod
    def of(cls, part: Part, reaches: Iterable[Reach], holds: Sequence[int]) -> "Flow":
        """Return a flow for the text that a part belongs to."""
        return cls(part.where, part.choice, [Look(reach) for reach in reaches], holds)

    @property
    def released(self) -> int:
        """Return up to where the text may go on."""
        decided = (self.looks[number].decided for number in self.holds)
        return min(decided, default=self.written.length)

    def mask(self, mask: Mask) -> None:
        """Take one more mask."""
        self.masks = merged([*self.masks, mask])

    def forget(self, gone: int) -> None:
        """Keep no more than the rules may need. gone: up to where the text has left."""
        needed = [look.kept_from(self.written) for look in self.looks]
        self.written.forget(min([*needed, gone], default=gone))
        self.masks = [mask for mask in self.masks if mask.end > gone]


@dataclass
class Waiting:
    """An event that waits. pieces: its parts of texts, with where they stand there; closes: the
    choices that end with it; is_last: it comes after all before it.
    """

    event: Event
    pieces: list[tuple[Flow, Part, Span]] = field(default_factory=list)
    lanes: frozenset[Lane] = frozenset()
    choices: frozenset[int] = frozenset()
    closes: frozenset[int] = frozenset()
    is_last: bool = False
    is_changed: bool = False

    @property
    def is_decided(self) -> bool:
        """Tell whether nothing in it can become part of a find any more."""
        return all(span.end <= flow.released for flow, _, span in self.pieces)

    def ready(self) -> Event:
        """Return the event as it may go on, masked."""
        for flow, part, span in self.pieces:
            words = masked(part.text, span, flow.masks)
            if words != part.text:
                part.put(words)
                self.is_changed = True
                self._drop_tokens(flow.choice)
        return rewritten(self.event) if self.is_changed else self.event

    def _drop_tokens(self, index: int | None) -> None:
        for position, choice in enumerate(choices_of(self.event.document or {})):
            if index_of(choice, position) == index and isinstance(choice, dict):
                drop_logprobs(choice)


class Queue:
    """The events that wait, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._released: list[int] = []  # how far the texts were when it was gone through
        self._has_bare = False
        self._starts: dict[int, int] = {}

    def add(self, waiting: Waiting) -> None:
        """Let one more wait."""
        self._waiting.append(waiting)
        self._has_bare |= not waiting.pieces

    def may_release(self, released: list[int]) -> bool:
        """Tell whether an event may have become free. released: up to where each text may go."""
        is_new = self._has_bare or released != self._released
        self._released, self._has_bare = released, False
        return is_new

    def __len__(self) -> int:
        return len(self._waiting)

    def released(self) -> list[Event]:
        """Return the events that may go now, and let the others wait on."""
        kept: list[Waiting] = []
        gone: list[Event] = []
        lanes: set[Lane] = set()
        choices: set[int] = set()
        self._starts = {}
        for one in self._waiting:
            is_behind = (
                not lanes.isdisjoint(one.lanes)
                or not choices.isdisjoint(one.closes)
                or (one.is_last and kept)
            )
            if is_behind or not one.is_decided:
                kept.append(one)
                lanes |= one.lanes
                choices |= one.choices
                for flow, _, span in one.pieces:
                    self._starts.setdefault(id(flow), span.start)
            else:
                gone.append(one.ready())
        self._waiting = kept
        return gone

    def gone(self, flow: Flow) -> int:
        """Return up to where a text has left, when the events were last gone through."""
        return self._starts.get(id(flow), flow.written.length)


def apart(event: Event, found: Sequence[Part]) -> list[Event]:
    """Return an event as several where its parts belong to several texts, each with what belongs to
    it: a choice's other fields go with the first of its pieces, its end and the usage with the
    last. What a client joins is the same.
    """
    if event.document is None:
        return [event]
    lanes = dict.fromkeys(part.lane for part in found if part.lane and part.text)
    words = [lane for lane in lanes if lane[1] not in ("logprobs", "tool_calls")]
    groups = [*words, *tool_calls(event.document)]
    if len(groups) < 2:
        return [event]
    return [
        rewritten(replace(event, document=_only(event.document, group, groups))) for group in groups
    ]


def tool_calls(document: Mapping[str, Any], *, only_new: bool = False) -> list[Lane]:
    """Return the lanes of the tool calls of an event. only_new: of those that it begins."""
    return [
        (index_of(choice, position), "tool_calls", index_of(call, number))
        for position, choice in enumerate(choices_of(document))
        for number, call in enumerate(_calls(choice))
        if not only_new or call.get("id") is not None
    ]


def _calls(choice: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = (choice.get("delta") or {}).get("tool_calls")
    return [one for one in calls if isinstance(one, dict)] if isinstance(calls, list) else []


def _only(document: dict[str, Any], group: Lane, groups: Sequence[Lane]) -> dict[str, Any]:
    """Return an event with the pieces of one text alone, and with the first of them the choices
    that have no piece.
    """
    made = {key: value for key, value in document.items() if key != "usage" or group == groups[-1]}
    own = [one for one in groups if one[0] == group[0]]
    indexes = {one[0] for one in groups}
    made["choices"] = []
    for position, choice in enumerate(choices_of(document)):
        index = index_of(choice, position)
        if index == group[0]:
            made["choices"].append(_piece(choice, group, own))
        elif index not in indexes and group == groups[0]:
            made["choices"].append(copy.deepcopy(choice))
    return made


def _piece(choice: Mapping[str, Any], group: Lane, own: Sequence[Lane]) -> dict[str, Any]:
    """Return a choice with the piece of one text alone. own: all texts of which it has pieces."""
    made: dict[str, Any] = copy.deepcopy(dict(choice))
    if group != own[-1]:
        made["finish_reason"] = None
    delta = made.get("delta") or {}
    if group == own[0]:
        for lane in own[1:]:
            _take_away(delta, lane)
        return made
    for lane in own:
        if lane != group:
            _take_away(delta, lane)
    kept = {group[1]: delta[group[1]]} if group[1] in delta else {}
    if group[1] == "tool_calls":
        kept["tool_calls"] = [
            one
            for number, one in enumerate(delta["tool_calls"])
            if index_of(one, number) == group[2]
        ]
    return {"index": group[0], "delta": kept, "finish_reason": made.get("finish_reason")}


def _take_away(delta: dict[str, Any], lane: Lane) -> None:
    if lane[1] != "tool_calls":
        delta.pop(str(lane[1]), None)
        return
    calls = delta.get("tool_calls") or []
    left = [one for number, one in enumerate(calls) if index_of(one, number) != lane[2]]
    delta["tool_calls"] = left
    if not left:
        del delta["tool_calls"]


def rewritten(event: Event) -> Event:
    """Return an event with the bytes of its document, which was changed."""
    others = [line for line in event.raw.splitlines() if line and not line.startswith(b"data:")]
    data = b"data: " + json.dumps(event.document, separators=(",", ":")).encode()
    return Event(b"\n".join([*others, data]) + b"\n\n", event.document)


def beside(event: Event) -> str:
    """Return the words of an event that its document does not hold: comments, other fields, and
    data that is no JSON object. "" for the end mark.
    """
    if (
        event.document is not None
        and event.raw.startswith(b"data:")
        and event.raw.count(b"\n") <= 2
    ):
        return ""
    lines = event.raw.splitlines()
    kept = [
        line
        for line in lines
        if not (line.startswith(b"data:") and (event.document is not None or _is_end(line)))
    ]
    return b"\n".join(kept).decode(errors="replace").strip()


def is_end(event: Event) -> bool:
    """Tell whether an event is the end mark."""
    return event.document is None and any(_is_end(line) for line in event.raw.splitlines())


def is_comment(event: Event) -> bool:
    """Tell whether an event says nothing to a program."""
    return event.document is None and all(
        not line or line.startswith(b":") for line in event.raw.splitlines()
    )


def _is_end(line: bytes) -> bool:
    return line.startswith(b"data:") and line[5:].strip() == DONE
