"""Other words in the place of finds, also where a text comes in pieces and a find lies in several.
Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apps.gateway.guard.window import Span


@dataclass(frozen=True)
class Mask:
    """What takes the place of characters of a text, end exclusive."""

    start: int
    end: int
    words: str


def merged(masks: Iterable[Mask]) -> list[Mask]:
    """Return masks in their order, those that overlap as one with the first one's words."""
    found: list[Mask] = []
    for mask in sorted(masks, key=lambda one: (one.start, -one.end)):
        if found and mask.start < found[-1].end:
            last = found[-1]
            found[-1] = Mask(last.start, max(last.end, mask.end), last.words)
        else:
            found.append(mask)
    return found


def masked(text: str, at: Span, masks: Sequence[Mask]) -> str:
    """Return a piece of a text with its part of the masks, which come merged. A mask's words stand
    in the piece in which it begins. at: where the piece stands in the text.
    """
    out, done = [], at.start
    for mask in masks:
        if mask.end <= at.start or mask.start >= at.end:
            continue
        if mask.start >= at.start:
            out += [text[done - at.start : mask.start - at.start], mask.words]
        done = min(mask.end, at.end)
    return "".join([*out, text[done - at.start :]])
