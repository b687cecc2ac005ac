"""What a comparison says: each figure's ratio, from the medians of its turns."""

import subprocess

import pytest

from tests.benchmarks import compare


def row(name, value, unit="s", better="lower"):
    return {"name": name, "value": value, "unit": unit, "better": better}


class TestRatios:
    def test_compares_medians_of_the_figures_that_both_have(self):
        before = [[row("resync", 4.0), row("calls", 90.0, "1/s", "higher"), row("gone", 1.0)]] * 2
        after = [
            [row("resync", 3.0), row("calls", 60.0, "1/s", "higher"), row("new", 1.0)],
            [row("resync", 6.0), row("calls", 60.0, "1/s", "higher"), row("new", 1.0)],
        ]
        slower, fewer = compare.ratios(before, after)
        assert (slower.name, slower.value, slower.unit) == ("resync: 4 → 4.5 s", 1.12, "×")
        assert (fewer.name, fewer.value) == ("calls: 90 → 60 1/s", 0.67)
        assert (slower.meets_its_goal, fewer.meets_its_goal) == (True, False)

    @pytest.mark.parametrize(("before", "after", "ratio"), [(0, 0, 1), (0, 1, float("inf"))])
    def test_has_no_ratio_to_nothing(self, before, after, ratio):
        (found,) = compare.ratios([[row("idle", before)]], [[row("idle", after)]])
        assert found.value == ratio


class TestCheckout:
    def test_holds_the_other_commit_and_is_gone_afterwards(self, tmp_path, monkeypatch):
        def git(*arguments):
            said = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments]
            subprocess.run(said, cwd=tmp_path, check=True, capture_output=True)

        git("init", "--quiet")
        for words in ("old", "new"):
            (tmp_path / "file").write_text(words)
            git("add", "file")
            git("commit", "--quiet", "-m", words)
        monkeypatch.setattr(compare, "ROOT", tmp_path)
        with compare.checkout("HEAD~1") as folder:
            assert (folder / "file").read_text() == "old"
        assert not folder.exists()
        assert (tmp_path / "file").read_text() == "new"
