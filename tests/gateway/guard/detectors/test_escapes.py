"""Texts as a page or a program shows them: each character at its place."""

import time

import pytest

from apps.gateway.guard.detectors.escapes import FILLER, escapes_read, past_escape, unescaped


def shown(text, **how):
    """Return what a reader sees of it."""
    found = unescaped(text, **how)
    assert len(found) == len(text)
    return found.replace(FILLER, "")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("nothing at all, 5 % of it", "nothing at all, 5 % of it"),
        (r"one\ntwo\tthree", "one\ntwo\tthree"),
        (r"twice \\n over", "twice \n over"),
        (r"{\"id\": \"7\"}", '{"id": "7"}'),
        (r"01\/02\/1960", "01/02/1960"),
        (r"for\u0067et", "forget"),
        (r"\u{69}t, \x69t", "it, it"),
        ("&lt;b&gt; &#105;t", "<b> it"),
        ("pre%76ious, jane%40a.example", "previous, jane@a.example"),
        ("ign<b>o</b>re", "ignore"),
        ("<td>SSN</td><td class='x'>7</td>", " SSN  7 "),
        ("one<!-- two -->three", "onethree"),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_shows_what_a_reader_sees(text, seen):
    assert shown(text) == seen


def test_leaves_tags_where_they_are_asked_for():
    assert shown("<b>x</b> &amp; y", tags=False) == "<b>x</b> & y"


def test_each_character_stands_where_its_escape_began():
    text = r"SSN\n219-45-678%39!"
    found = unescaped(text)
    assert found.index("219") == text.index("219")
    end = found.index("9", found.index("678")) + 1
    assert text[past_escape(found, end) :] == "!"
    assert past_escape(found, 1) == 1


def test_reads_escapes_without_what_stands_between():
    assert escapes_read(r"\u0069 \u0074\x2e") == "it."
    assert escapes_read(r"\ud83d") == ""


@pytest.mark.parametrize("part", ["<a", "<!--", "&a", "%41", "\\", "<a ", "&#", "\\u", "<"])
def test_takes_four_times_as_long_for_four_times_the_text(part):
    def seconds(length):
        text = (part * length)[:length]
        begun = time.process_time()
        unescaped(text)
        return time.process_time() - begun

    seconds(1_000)
    short, long = min(seconds(30_000) for _ in range(3)), min(seconds(120_000) for _ in range(3))
    assert long < 8 * short + 0.02, "its time grows faster than the text"
