"""What is kept on this machine, and for whom."""

import os
import stat

import pytest

from apps.cli.exits import NotSignedIn
from apps.cli.store import SignedIn, Store

HERE, THERE = "https://portal.example", "https://other.example"
SIGNED_IN = SignedIn("https://idp.example/token", "cli", "access", 2_000_000_000.0, "refresh")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "config")


class TestStore:
    def test_keeps_a_sign_in_for_each_portal(self, store):
        other = SignedIn("https://idp.example/token", "cli", "other", 2_000_000_000.0)
        store.keep(THERE, other)
        store.keep(HERE, SIGNED_IN)
        assert (store.portal(), store.signed_in(HERE)) == (HERE, SIGNED_IN)
        assert store.signed_in(THERE) == other
        assert store.forget(HERE)
        assert not store.forget(HERE)
        assert (store.signed_in(HERE), store.signed_in(THERE)) == (None, other)

    def test_lets_nobody_else_read_it(self, store):
        before = os.umask(0)
        try:
            store.keep(HERE, SIGNED_IN)
        finally:
            os.umask(before)
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
        assert [path.name for path in store.folder.iterdir()] == ["credentials.json"]

    def test_uses_no_file_that_others_can_read(self, store):
        store.keep(HERE, SIGNED_IN)
        store.path.chmod(0o640)
        with pytest.raises(NotSignedIn, match="chmod 600"):
            store.signed_in(HERE)

    @pytest.mark.parametrize("content", ["", "[]", '{"sign_ins": 3}', '{"sign_ins": {"x": {}}}'])
    def test_says_that_it_cannot_be_read(self, store, content):
        store.folder.mkdir()
        store.path.write_text(content.replace("x", HERE).replace("{}}", '{"a": 1}}'))
        store.path.chmod(0o600)
        with pytest.raises(NotSignedIn, match="cannot be read"):
            store.signed_in(HERE)

    def test_locks_no_file_of_somebody_elses_choice(self, store, tmp_path):
        store.folder.mkdir()
        (store.folder / "lock").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic"), store.locked():
            pass
        assert not (tmp_path / "elsewhere").exists()

    def test_knows_nothing_before_the_first_sign_in(self, store):
        assert (store.portal(), store.signed_in(HERE)) == ("", None)

    def test_lies_where_the_environment_says(self, tmp_path):
        assert Store.of_environment({"QUARTERMASTER_CONFIG": str(tmp_path)}).folder == tmp_path
        found = Store.of_environment({"XDG_CONFIG_HOME": str(tmp_path)}).folder
        assert found == tmp_path / "quartermaster"
