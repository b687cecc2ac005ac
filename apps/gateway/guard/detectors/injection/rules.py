"""What an instruction looks like that somebody slipped into a text: rules, each with a reason that
people read. Pure.

Patterns are of lower-case words. A blank stands for any space between words (also for signs, lines
and what is invisible: views.py); a sentence's end is a point. GAP skips a few words. A rule whose
vocabulary is closed (no GAP) is looked for without any blanks too: i-g-n-o-r-e.
"""

import re

from apps.gateway.guard.detectors.injection import misusing, overriding, steering
from apps.gateway.guard.detectors.injection.marks import MARKS

RULES = (*overriding.RULES, *steering.RULES, *misusing.RULES)
# the longer words of the rules, by which a text is known that was turned around
VOCABULARY = frozenset(
    word for rule in RULES for word in re.findall("[a-z]{5,}", rule.pattern)
) - frozenset(("again", "after", "level", "refer"))
REASONS: dict[str, tuple[str, ...]] = {}
for _rule in (*RULES, *MARKS):
    REASONS[_rule.name] = tuple(dict.fromkeys((*REASONS.get(_rule.name, ()), _rule.reason)))
HIDDEN = "INJECTION_HIDDEN_TEXT"
REASONS[HIDDEN] = ("holds text that no reader sees",)
ENTITIES = tuple(REASONS)
