"""Diffs: what changed stands out, what did not is folded, both sides agree."""

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

    def test_is_empty_where_nothing_changes(self):
        assert between("x", "a\nb", "a\nb") == []


class TestFold:
    def test_hides_no_single_line(self):
        lines = [Line("same", " a"), *[Line("same", " b")] * 3, Line("add", "+c")]
        assert [part.is_folded for part in fold(lines)] == [False, False]


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
