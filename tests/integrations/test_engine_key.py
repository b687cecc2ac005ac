"""The key that engines ask for, read at each use."""

import pytest

from apps.integrations.engine.key import engine_key
from apps.integrations.errors import PermanentError, TemporaryError


class TestEngineKey:
    def test_is_what_the_file_says_now(self, tmp_path, settings):
        file = tmp_path / "key"
        settings.ENGINE_KEY_FILE = str(file)
        for key in ("first", "second"):
            file.write_text(f"{key}\n")
            assert engine_key() == key

    def test_is_missed_for_good_where_no_file_is_named(self, settings):
        settings.ENGINE_KEY_FILE = ""
        with pytest.raises(PermanentError, match="ENGINE_KEY_FILE is not set"):
            engine_key()

    @pytest.mark.parametrize(("text", "words"), [(None, "cannot be read"), (" \n", "is empty")])
    def test_is_missed_for_now_where_it_is_under_way(self, tmp_path, settings, text, words):
        file = tmp_path / "key"
        settings.ENGINE_KEY_FILE = str(file)
        if text is not None:
            file.write_text(text)
        with pytest.raises(TemporaryError, match=words):
            engine_key()
