"""Diffs: what changed stands out, what did not is folded, both sides agree."""

import pytest

from apps.common.diffs import Line, between, files, fold, from_plain, side_by_side

GIT = """diff --git a/models/a.yaml b/models/a.yaml
index 1..2 100644
--- a/models/a.yaml
+++ b/models/a.yaml
@@ -1,3 +1,4 @@
 kind: x
-weight: 10
+weight: 50
+more: yes
 end: 1
diff --git a/b.yaml b/b.yaml
new file mode 100644
--- /dev/null
+++ b/b.yaml
@@ -0,0 +1 @@
+new: yes
\\ No newline at end of file
"""


class TestFiles:
    def test_reads_each_file_with_its_lines(self):
        first, second = files(GIT)
        assert (first.path, first.added, first.removed, first.has_two_sides) == (
            "models/a.yaml", 2, 1, True,
        )  # fmt: skip
        assert [line.kind for line in first.lines] == ["hunk", "same", "del", "add", "add", "same"]
        assert (second.path, second.added, second.has_two_sides) == ("b.yaml", 1, False)

    def test_can_be_kept_as_plain_data(self):
        assert from_plain([file.plain() for file in files(GIT)]) == files(GIT)

    def test_is_kept_as_a_path_and_signed_lines(self):
        kept = files(GIT)[1].plain()
        assert kept == {
            "path": "b.yaml",
            "lines": [
                {"kind": "hunk", "text": "@@ -0,0 +1 @@"},
                {"kind": "add", "text": "+new: yes"},
            ],
        }

    def test_leaves_out_what_git_says_of_the_files_themselves(self):
        said = ("old mode 100644", "new mode 100755", "deleted file mode 100644", "index 1..2")
        text = "\n".join(
            ["warning: a line before", "diff --git a/x b/x", *said, "@@ -1 +0,0 @@", "-x"]
        )
        (file,) = files(text)
        assert [line.text for line in file.lines] == ["@@ -1 +0,0 @@", "-x"]
        assert (file.added, file.removed, file.has_two_sides) == (0, 1, False)

    def test_keeps_lines_that_look_like_the_head_of_a_file(self):
        text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n--- note\n+++ note\n"
        (file,) = files(text)
        assert [line.text for line in file.lines] == ["@@ -1 +1 @@", "--- note", "+++ note"]

    def test_finds_nothing_in_nothing(self):
        assert files("") == []


class TestBetween:
    def test_folds_all_but_three_lines_around_a_change(self):
        before = "\n".join(str(number) for number in range(20))
        (file,) = between("x", before, before.replace("10", "ten"))
        assert [(part.is_folded, len(part.lines)) for part in file.parts] == [
            (True, 7),
            (False, 8),
            (True, 6),
        ]
        assert [line.text for line in file.parts[1].lines] == [
            " 7", " 8", " 9", "-10", "+ten", " 11", " 12", " 13",
        ]  # fmt: skip

    def test_keeps_every_line_with_its_sign(self):
        (file,) = between("models/a.yaml", "kind: x\nweight: 10\n", "kind: x\nweight: 50\n--- \n")
        assert (file.path, file.lines) == (
            "models/a.yaml",
            [
                Line("same", " kind: x"),
                Line("del", "-weight: 10"),
                Line("add", "+weight: 50"),
                Line("add", "+--- "),
            ],
        )

    def test_is_empty_where_nothing_changes(self):
        assert between("x", "a\nb", "a\nb") == []


class TestFold:
    @pytest.mark.parametrize(("far", "is_folded"), [(1, False), (2, False), (3, True)])
    def test_hides_no_line_or_two(self, far, is_folded):
        same, changed = Line("same", " a"), Line("add", "+c")
        for lines in (
            [*[same] * (far + 3), changed],
            [changed, *[same] * (far + 3)],
            [changed, *[same] * (far + 6), Line("del", "-d")],
        ):
            parts = fold(lines)
            assert [part for part in parts if not part.is_folded][0].lines
            assert [p.is_folded for p in parts if len(p.lines) == far] == [is_folded]
            assert [line for part in parts for line in part.lines] == lines

    def test_shows_all_of_what_changed_close_together(self):
        lines = [Line("add", "+a"), *[Line("same", " b")] * 6, Line("hunk", "@@")]
        assert [(part.is_folded, len(part.lines)) for part in fold(lines)] == [(False, 8)]


class TestSideBySide:
    def test_pairs_what_went_with_what_came(self):
        (file, _) = files(GIT)
        rows = [
            (row.left, row.right, row.left_kind, row.right_kind) for row in side_by_side(file.lines)
        ]
        assert rows == [
            ("@@ -1,3 +1,4 @@", "@@ -1,3 +1,4 @@", "hunk", "hunk"),
            ("kind: x", "kind: x", "", ""),
            ("weight: 10", "weight: 50", "del", "add"),
            ("", "more: yes", "", "add"),
            ("end: 1", "end: 1", "", ""),
        ]

    def test_pairs_more_that_went_than_came(self):
        lines = [Line("del", "-a"), Line("del", "-b"), Line("add", "+c"), Line("same", " d")]
        (file,) = between("x", "1\n2\n3", "1\n3")
        assert [vars(row) for row in file.parts[0].rows] == [
            {"left": "1", "right": "1", "left_kind": "", "right_kind": ""},
            {"left": "2", "right": "", "left_kind": "del", "right_kind": ""},
            {"left": "3", "right": "3", "left_kind": "", "right_kind": ""},
        ]
        rows = [(row.left, row.right, row.left_kind, row.right_kind) for row in side_by_side(lines)]
        assert rows == [("a", "c", "del", "add"), ("b", "", "del", ""), ("d", "d", "", "")]

    @pytest.mark.parametrize("last", [Line("del", "-z"), Line("add", "+z")])
    def test_shows_a_change_of_the_last_line(self, last):
        (row,) = side_by_side([last])
        assert {row.left, row.right} == {"", "z"}
        assert {row.left_kind, row.right_kind} == {"", last.kind}
