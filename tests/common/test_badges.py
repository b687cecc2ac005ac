"""Badges: never without words, never in a tone that the style sheet lacks."""

from pathlib import Path

import pytest
from django.template import Context, Template

from apps.common.badges import ICONS, TONES, Badge
from tests.pages import joined

ROOT = Path(__file__).resolve().parents[2]


def shown(source: str, **context: object) -> str:
    return joined(Template(source).render(Context(context)))


class TestBadge:
    def test_refuses_a_tone_that_there_is_not(self):
        with pytest.raises(ValueError, match="no tone 'green'"):
            Badge("green", "", "Fine")

    def test_refuses_to_be_color_alone(self):
        with pytest.raises(ValueError, match="needs words"):
            Badge("ok", "circle-check", "")

    def test_takes_the_icon_of_its_tone(self):
        assert (Badge("bad", "", "Failed").sign, Badge("bad", "ban", "Failed").sign) == (
            "circle-x",
            "ban",
        )

    def test_every_tone_has_its_icon_and_its_colors(self):
        icons = (ROOT / "static" / "src" / "icons.txt").read_text().split()
        styles = (ROOT / "static" / "src" / "css" / "pieces.css").read_text()
        assert set(ICONS) == set(TONES)
        assert [icon for icon in ICONS.values() if icon not in icons] == []
        # idle is how a badge looks by itself
        assert [tone for tone in TONES if tone != "idle" and f".badge-{tone} " not in styles] == []


class TestTag:
    def test_shows_icon_and_words(self):
        html = shown("{% badge b %}", b=Badge("warn", "clock", "Waits <now>", title='for "you"'))
        assert '<span class="badge badge-warn" title="for &quot;you&quot;">' in html
        assert "#clock" in html
        assert "Waits &lt;now&gt; </span>" in html

    def test_shows_nothing_for_none(self):
        assert shown("[{% badge b %}]", b=None) == "[ ]"
        assert shown("[{% badge missing %}]") == "[ ]"

    def test_takes_a_badge_that_never_changes(self):
        html = shown('{% badge "draft" "Planned" %}{% badge "idle" "Owner" "user-check" %}')
        assert html.count("<span") == 2
        assert "badge-draft" in html
        assert "#user-check" in html
