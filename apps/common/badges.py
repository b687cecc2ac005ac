"""Badges: a state in a word, with its tone and icon. One dataclass, one template tag.

How to use:
    Badge("ok", "circle-check", "Live")             # in Python, where the state is told
    Badge("warn", "", "Paused · 25 %", title="…")   # an empty icon: the tone's own
    {% badge line.badge %}                          # in a template; None shows nothing
    {% badge "draft" "Planned" %}                   # a badge that never changes

The tones are those of the style sheet: ok, busy (under way), warn (look at it), bad (it failed),
idle (at rest), draft (not yet), neutral (a fact that is no state). Color never stands alone: a
badge has words, and an icon of static/src/icons.txt.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Tone = Literal["ok", "busy", "warn", "bad", "idle", "neutral", "draft"]
TONES: tuple[Tone, ...] = get_args(Tone)
ICONS: dict[Tone, str] = {
    "ok": "circle-check",
    "busy": "circle-dot",
    "warn": "triangle-alert",
    "bad": "circle-x",
    "idle": "circle",
    "neutral": "info",
    "draft": "circle-dashed",
}


@dataclass(frozen=True)
class Badge:
    """A state as pages show it. title: what the words leave out, shown on hover.

    Raises ValueError for a tone that there is not, and for a badge without words.
    """

    tone: Tone
    icon: str
    words: str
    title: str = ""

    def __post_init__(self) -> None:
        if self.tone not in TONES:
            raise ValueError(f"There is no tone {self.tone!r}: {', '.join(TONES)}")
        if not self.words:
            raise ValueError("A badge needs words: color never stands alone.")

    @property
    def sign(self) -> str:
        """Return the icon's name: its own, or its tone's."""
        return self.icon or ICONS[self.tone]
