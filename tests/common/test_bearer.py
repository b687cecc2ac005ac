"""The credential of a program."""

from apps.common.bearer import is_bearer


class TestIsBearer:
    def test_reads_the_file_at_each_call(self, tmp_path):
        file = tmp_path / "token"
        file.write_text("first\n")
        assert is_bearer("Bearer first", str(file)) is True
        for header in ("", "first", "Bearer second", "Bearer first\n", "bearer first"):
            assert is_bearer(header, str(file)) is False
        file.write_text("second")
        assert is_bearer("Bearer second", str(file)) is True
