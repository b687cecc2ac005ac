"""Commits of ours that the branch has lost."""

import pytest

from apps.gitops import history

FIRST, SECOND, THIRD = "1" * 40, "2" * 40, "3" * 40


class Branch:
    """A Git server whose branch has these commits."""

    branch = "release"

    def __init__(self, *commits):
        self.commits = commits

    def is_on_branch(self, sha):
        return sha in self.commits


def lost(commits, git):
    with pytest.raises(history.Diverged) as found:
        history.check(commits, git, advice="Ask her.")
    return set(found.value.lost), str(found.value)


class TestCheck:
    def test_says_nothing_where_the_branch_has_them_all(self):
        history.check([FIRST, SECOND], Branch(FIRST, SECOND, THIRD), advice="Ask her.")
        history.check([], Branch(), advice="Ask her.")

    def test_names_the_one_that_is_lost_and_what_to_do(self):
        words = (
            "Commit 22222222 is no longer on branch release: somebody rewrote its history. Ask her."
        )
        assert lost([FIRST, SECOND], Branch(FIRST)) == ({SECOND}, words)

    def test_names_all_that_are_lost(self):
        found, words = lost([FIRST, SECOND, THIRD], Branch(SECOND))
        assert found == {FIRST, THIRD}
        assert words.startswith("Commits 11111111, 33333333 are no longer on branch release: ")
