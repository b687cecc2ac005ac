"""Sealed texts open with their own key, in their own place, unchanged, and never else."""

import base64

import pytest

from apps.common.envelope import FileWrapper, NotOpened, Sealed, open_sealed, seal

KEY, OTHER = b"k" * 32, b"o" * 32


class TestSeal:
    @pytest.mark.parametrize("text", [b"", b"x", b"member 42 " * 1000])
    def test_opens_again(self, text):
        sealed = seal(KEY, text, bound="call/REQUEST")
        assert open_sealed(KEY, sealed, bound="call/REQUEST") == text
        assert len(text) < 16 or text not in sealed.ciphertext

    def test_uses_another_nonce_each_time(self):
        assert len({seal(KEY, b"x", bound="b").nonce for _ in range(100)}) == 100

    def test_does_not_open_elsewhere(self):
        sealed = seal(KEY, b"text", bound="call/REQUEST")
        flipped = bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:]
        for key, tried, bound in (
            (OTHER, sealed, "call/REQUEST"),
            (KEY, sealed, "call/ANSWER"),
            (KEY, Sealed(sealed.nonce, flipped), "call/REQUEST"),
            (KEY, Sealed(sealed.nonce, b""), "call/REQUEST"),
            (KEY, Sealed(b"", sealed.ciphertext), "call/REQUEST"),
        ):
            with pytest.raises(NotOpened):
                open_sealed(key, tried, bound=bound)


class TestFileWrapper:
    def test_wraps_and_unwraps(self, tmp_path):
        path = tmp_path / "wrap.key"
        path.write_text(base64.b64encode(KEY).decode() + "\n")
        wrapper = FileWrapper.load(path)
        one, other = wrapper.make_key("a"), wrapper.make_key("a")
        assert one.plain != other.plain and one.plain not in one.wrapped
        assert wrapper.unwrap(one.wrapped, "a") == one.plain
        assert wrapper.key_id == "file/wrap.key"
        for wrapped, bound in ((one.wrapped, "b"), (b"", "a")):
            with pytest.raises(NotOpened):
                wrapper.unwrap(wrapped, bound)

    @pytest.mark.parametrize("content", ["", "no base64!", base64.b64encode(b"short").decode()])
    def test_refuses_what_is_no_key(self, tmp_path, content):
        path = tmp_path / "wrap.key"
        path.write_text(content)
        with pytest.raises(ValueError, match="bytes"):
            FileWrapper.load(path)
