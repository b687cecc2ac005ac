"""The names of built files, with and without a build."""

import json
import re

import pytest
from django.conf import settings

from portal import assets
from portal.tags import filesize_short, icon, initials, percent_of


@pytest.fixture
def build(tmp_path, settings):  # noqa: F811 - pytest-django's fixture
    settings.ASSETS_DIR = tmp_path
    return tmp_path / "manifest.json"


class TestAssetUrl:
    def test_carries_the_hash_of_the_build(self, build):
        build.write_text(json.dumps({"app.css": "app-0123456789.css"}))
        assert assets.asset_url("app.css") == "/static/app/app-0123456789.css"

    def test_a_build_that_comes_later_is_found(self, build):
        assert assets.asset_url("app.js") == "/static/app/app.js"
        build.write_text(json.dumps({"app.js": "app-aaaaaaaaaa.js"}))
        assert assets.asset_url("app.js") == "/static/app/app-aaaaaaaaaa.js"

    def test_half_a_manifest_breaks_no_page(self, build):
        build.write_text("{")
        assert assets.asset_url("app.css") == "/static/app/app.css"


class TestAssetsAreBuilt:
    def test_says_what_to_run(self, build):
        (warning,) = assets.assets_are_built()
        assert "npm run build" in warning.hint
        build.write_text("{}")
        assert assets.assets_are_built() == []


class TestTags:
    def test_an_icon_is_hidden_from_screen_readers(self):
        assert 'aria-hidden="true"' in icon("house")

    @pytest.mark.parametrize(
        ("name", "expected"), [("Maya Okafor", "MO"), ("Maya", "M"), ("", "?"), ("A B C", "AC")]
    )
    def test_initials(self, name, expected):
        assert initials(name) == expected

    @pytest.mark.parametrize(
        ("value", "total", "expected"),
        [(1, 4, "25.00"), (5, 4, "100.00"), (1, 0, "0.00"), (None, 4, "0.00")],
    )
    def test_percent_of_stays_between_0_and_100(self, value, total, expected):
        assert percent_of(value, total) == expected

    @pytest.mark.parametrize(
        ("size", "expected"), [(0, "0 B"), (1500, "1.5 kB"), (269_000_000, "269 MB")]
    )
    def test_filesize_short(self, size, expected):
        assert filesize_short(size) == expected


class TestIcons:
    def test_every_icon_that_a_page_names_is_in_the_sprite(self):
        """A name that is missing shows an empty square and breaks nothing, so nobody would
        notice.
        """
        listed = set((settings.BASE_DIR / "static/src/icons.txt").read_text().split("\n"))
        named = re.compile(
            r"""(?:\{% icon |\bicon=|["']icon["']: ?|[,{\[ ]icon: )["']([a-z0-9-]+)["']"""
        )
        files = [
            *settings.BASE_DIR.glob("templates/**/*.html"),
            *settings.BASE_DIR.glob("apps/**/*.py"),
        ]
        missing = {
            (f.name, name)
            for f in files
            for name in named.findall(f.read_text())
            if name not in listed
        }
        assert missing == set()
