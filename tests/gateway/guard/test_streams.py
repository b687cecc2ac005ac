"""Streams of any text, cut in any way, over choices and channels that take turns: what leaves is
what leaves of the whole text at once.
"""

from itertools import chain, pairwise, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.gateway.gate.calls import Text
from apps.gateway.gate.steps import Blocked, Does
from apps.gateway.guard.detectors.member_data import member_data
from apps.gateway.guard.detectors.own import OwnPattern
from apps.gateway.guard.detectors.secrets import secrets
from apps.gateway.guard.masks import Mask, masked, merged
from apps.gateway.guard.providers import own_patterns, patterns, width
from apps.gateway.guard.window import Span
from tests.gateway.guard.answering import chunk, end, guard, passed, rule, run, text_of, usage

PROVIDERS = (
    patterns(member_data()),
    patterns(secrets()),
    own_patterns([OwnPattern("ORCHID", r"(?i)\bproject[ -]orchid [0-9]{2,4}\b")]),
)
PLANTED = (
    "SSN 412-55-1098",
    "412-55-1098",
    "ssn: 412551098",
    "Medicare 1EG4-TE5-MK73",
    "NPI 1234567893",
    "member id W123456789",
    "claim # CLM-20260417-993",
    "DOB: 01/02/1960",
    "born January 2, 1960",
    "(312) 555-0134",
    "mail a.b.c.d.e.f-very.long-name.of.somebody@mail.department.example.org",
    "card 4111 1111 1111 1111",
    "Bearer abcdEFGH1234abcdEFGH1234",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "password: hunter2Hunter3",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "s3://u:pa55word99@host",
    "Project Orchid 2027",
    "SSN 4\u200b1\u200b2-55\u200b\u200b-1098",
    "SSN 412\u201155\u20111098",
)
WORDS = st.sampled_from(
    (
        "the", "plan", "approves", "12", "codes", "and", "\n", "ID", "born", "phone", "\u00e4rzte",
        "x" * 90, "7" * 12, "4-", "-5", "(", "312)", "a@", "e.g.", "😀", "\u200b", "😀1",
    )
)  # fmt: skip
TEXTS = st.lists(st.one_of(WORDS, st.sampled_from(PLANTED)), max_size=40).flatmap(
    lambda words: st.lists(
        st.sampled_from((" ", " ", " ", "", ". ", "\n\n", ", ")),
        min_size=len(words),
        max_size=len(words),
    ).map(lambda seams: "".join(a + b for a, b in zip(words, seams, strict=True)))
)
CUTS = st.one_of(
    st.just([1]),
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.lists(st.integers(0, 400), min_size=1, max_size=5),
)
TOGETHER = st.lists(st.booleans(), max_size=30)  # whether the next event comes in the same piece
MANY = settings(max_examples=60, deadline=None)


def whole(text: str, provider) -> list:
    return run(provider.find([Text("0", "assistant", text)]))


def cut(text: str, sizes: list[int]) -> list[str]:
    """Return a text in pieces of these sizes, over and over; 0 is a piece without words."""
    found, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)] if sum(sizes) else 1
        found.append(text[at : at + size])
        at, turn = at + size, turn + 1
    return found


def masks_of(text: str, providers) -> str:
    hits = [hit for one in providers for hit in whole(text, one)]
    return masked(text, Span(0, len(text)), merged(Mask(h.start, h.end, "[X]") for h in hits))


class Drawn:
    """Events of a stream, and the texts that they are pieces of, by (choice, channel)."""

    def __init__(self, events: list, texts: dict) -> None:
        self.events, self.texts = events, texts

    def __repr__(self) -> str:
        return f"{self.texts} in {len(self.events)} events"


@st.composite
def streams(draw):
    """Several texts, each cut in its own way, in turns."""
    lanes = draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(("content", "reasoning"))),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    texts = {lane: draw(TEXTS) for lane in lanes}
    left = {lane: cut(text, draw(CUTS)) for lane, text in texts.items()}
    events = []
    while waiting := [lane for lane in lanes if left[lane]]:
        index, channel = draw(st.sampled_from(waiting)) if len(events) < 60 else waiting[0]
        delta = {channel: left[index, channel].pop(0)}
        other = next((lane for lane in waiting if lane[0] == index and left[lane]), None)
        if other and other[1] != channel and draw(st.booleans()):
            delta[other[1]] = left[other].pop(0)
        events.append(chunk(index=index, **delta))
    if draw(st.booleans()):
        events += [chunk(index=index, finish="stop") for index in {lane[0] for lane in lanes}]
    if draw(st.booleans()):
        events += [usage(), end()]
    return Drawn(events, texts)


class TestAnyStream:
    @MANY
    @given(streams(), TOGETHER)
    def test_masks_as_the_whole_text_is_masked(self, drawn, together):
        events, texts = drawn.events, drawn.texts
        rules = [rule(Does.MASK, one, mask="[X]") for one in PROVIDERS]
        found = run(passed(guard(*rules), events, together))
        for (index, channel), text in texts.items():
            assert text_of(found, index, channel) == masks_of(text, PROVIDERS)

    @MANY
    @given(streams(), TOGETHER)
    def test_no_character_of_a_blocked_find_leaves(self, drawn, together):
        events, texts = drawn.events, drawn.texts
        finds = {lane: [h for p in PROVIDERS for h in whole(t, p)] for lane, t in texts.items()}
        answer, sent = guard(*(rule(Does.BLOCK, one) for one in PROVIDERS)), []

        async def all_of_it():
            for one, more in zip(events, chain(together, repeat(False)), strict=False):
                sent.extend(await answer.feed(one, more=more))
            sent.extend(await answer.end())

        if any(finds.values()):
            with pytest.raises(Blocked):
                run(all_of_it())
        else:
            run(all_of_it())
        for (index, channel), text in texts.items():
            gone = text_of(sent, index, channel)
            assert text.startswith(gone)
            assert all(len(gone) <= hit.start for hit in finds[index, channel])
            assert any(finds.values()) or gone == text

    @MANY
    @given(streams())
    def test_monitors_without_a_change_or_a_wait(self, drawn):
        events, texts = drawn.events, drawn.texts
        answer = guard(*(rule(Does.MONITOR, one) for one in PROVIDERS))
        for one in events:
            assert run(answer.feed(one)) == [one]
        assert run(answer.end()) == []
        finds = sum(len(whole(text, one)) for text in texts.values() for one in PROVIDERS)
        assert len(answer.verdict().findings) == min(finds, 100)

    @MANY
    @given(streams())
    def test_what_is_clean_or_known_passes_in_order(self, drawn):
        events, texts = drawn.events, drawn.texts
        rules = [rule(Does.BLOCK, one, is_leak=True) for one in PROVIDERS[:1]]
        found = run(passed(guard(*rules, prompt=list(texts.values())), events))
        for (index, channel), text in texts.items():
            assert text_of(found, index, channel) == text


class TestMasked:
    @given(
        st.text("abc", max_size=30),
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=6),
        st.lists(st.integers(0, 30), max_size=6),
    )
    def test_pieces_together_are_the_whole_masked(self, text, finds, cuts):
        masks = merged(
            Mask(start, min(start + size, len(text)), "#")
            for start, size in finds
            if start < len(text)
        )
        places = sorted({0, len(text), *(one for one in cuts if one < len(text))})
        pieces = [masked(text[a:b], Span(a, b), masks) for a, b in pairwise(places)]
        assert "".join(pieces) == masked(text, Span(0, len(text)), masks)


class TestWidth:
    @pytest.mark.parametrize(
        ("pattern", "wide"),
        [("orchid", 6), (r"[0-9]{2,7}x?", 8), ("a|bcd", 3), ("a+", 0), (r"\pN{3}", 0)],
    )
    def test_tells_the_widest_match(self, pattern, wide):
        assert width(pattern) == wide
