"""What a file's bytes must look like."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from apps.catalog import content as content_module
from apps.catalog.content import Inspector
from tests.catalog.samples import safetensors


def problem(name: str, content: bytes, step: int = 7) -> str:
    seen = Inspector(name)
    for start in range(0, len(content), step):
        seen.update(content[start : start + step])
    return seen.problem()


class TestSafetensors:
    def test_takes_what_the_library_writes(self):
        import numpy

        content = save(
            {"a": numpy.ones((3, 2), numpy.float16), "b": numpy.zeros(5, numpy.int64)},
            {"format": "pt"},
        )
        assert problem("model.safetensors", content) == ""

    @pytest.mark.parametrize(
        "header",
        [
            {"a": {"dtype": "F16", "shape": [4], "data_offsets": [2, 10]}},
            {"a": {"dtype": "F16", "shape": [5], "data_offsets": [0, 8]}},
            {"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}},
            {
                "a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
                "b": {"dtype": "F16", "shape": [2], "data_offsets": [4, 8]},
            },
            {"a": {"dtype": "PICKLE", "shape": [4], "data_offsets": [0, 8]}},
            {"a": []},
            ["a"],
        ],
    )
    def test_refuses_headers_that_do_not_fit(self, header):
        assert problem("model.safetensors", safetensors(4, header)) != ""

    def test_refuses_a_key_that_stands_twice(self):
        one = json.dumps({"dtype": "F16", "shape": [4], "data_offsets": [0, 8]})
        text = f'{{"a": {one}, "a": {one}}}'.encode()
        assert "cannot be read" in problem(
            "m.safetensors", len(text).to_bytes(8, "little") + text + b"\0" * 8
        )

    def test_keeps_nothing_of_a_header_that_is_too_long(self):
        seen = Inspector("m.safetensors")
        seen.update((200_000_000).to_bytes(8, "little"))
        for _ in range(210):
            seen.update(b" " * 1_000_000)
        assert "header's length is impossible" in seen.problem()
        assert len(seen._head) < 1_100_000

    def test_refuses_a_header_that_is_nested_without_end(self):
        text = b'{"a":' * 200_000
        content = len(text).to_bytes(8, "little") + text + b"\0" * 8
        assert "cannot be read" in problem("m.safetensors", content, step=1 << 20)

    @pytest.mark.parametrize(
        "content", [b"", b"\x80\x04K\x01.", b"\xff" * 64, safetensors()[:-1], safetensors() + b"x"]
    )
    def test_refuses_other_bytes(self, content):
        assert problem("model.safetensors", content) != ""

    @given(st.binary(max_size=200))
    def test_never_breaks(self, content):
        assert isinstance(problem("model.safetensors", content), str)


BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def weights(*tensors, size=None):
    """Return a file of tensors, each (dtype, shape, start, stop), with `size` bytes after them."""
    header = {
        f"t{n}": {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
        for n, (dtype, shape, start, stop) in enumerate(tensors)
    }
    text = json.dumps(header).encode()
    end = max((stop for *_, stop in tensors), default=0) if size is None else size
    return len(text).to_bytes(8, "little") + text + b"\0" * end


class TestTensors:
    @pytest.mark.parametrize("dtype", BITS)
    def test_have_the_size_of_their_type(self, dtype):
        good = weights((dtype, [2, 4], 0, BITS[dtype]))
        assert problem("m.safetensors", good) == ""
        assert problem("m.safetensors", weights((dtype, [2, 4], 0, BITS[dtype] + 1))) != ""

    def test_lie_side_by_side_in_any_order(self):
        first, second = ("U8", [3], 0, 3), ("U8", [2, 2], 3, 7)
        assert problem("m.safetensors", weights(second, first, ("U8", [0], 7, 7))) == ""
        assert problem("m.safetensors", weights()) == ""

    @pytest.mark.parametrize(
        ("tensors", "size", "why"),
        [
            ([("U8", [3], 1, 4)], None, "holes"),
            ([("U8", [3], 0, 3), ("U8", [3], 4, 7)], None, "holes"),
            ([("U8", [3], 0, 3), ("U8", [3], 2, 5)], None, "overlap"),
            ([("U8", [3], 0, 3)], 4, "file has"),
            ([("U8", [3], 0, 3)], 2, "file has"),
            ([("U8", [3], -3, 0)], 0, "cannot be read"),
            ([("U8", [-3], 3, 0)], 3, "cannot be read"),
            ([("U8", ["x"], 0, 3)], 3, "cannot be read"),
            ([("U8", [3], 0, 3), ("I4", [3], 3, 6)], None, "cannot be read (KeyError)"),
        ],
    )
    def test_leave_no_hole_overlap_nowhere_and_fill_the_file(self, tensors, size, why):
        assert why in problem("m.safetensors", weights(*tensors, size=size))

    def test_are_counted_with_their_header(self):
        content = weights(("U8", [1000], 0, 1000), size=999)
        assert problem("m.safetensors", content) == (
            f"its tensors need {len(content) + 1:,} bytes, the file has {len(content):,}"
        )


class TestHeader:
    def test_is_as_long_as_is_allowed_and_no_longer(self, monkeypatch):
        content = weights(("U8", [3], 0, 3))
        length = int.from_bytes(content[:8], "little")
        monkeypatch.setattr(content_module, "MAX_HEADER", length)
        assert problem("m.safetensors", content) == ""
        monkeypatch.setattr(content_module, "MAX_HEADER", length - 1)
        assert "impossible" in problem("m.safetensors", content)

    def test_is_of_16_mib_at_most(self):
        length = 16 * 1024**2 + 1
        content = length.to_bytes(8, "little") + b" " * length
        assert "impossible" in problem("m.safetensors", content, step=len(content))

    @pytest.mark.parametrize("content", [b"", b"\2" + b"\0" * 6, b"\1" + b"\0" * 7 + b"{"])
    def test_has_a_length_of_eight_bytes_and_two_at_least(self, content):
        assert "impossible" in problem("m.safetensors", content)

    def test_ends_within_the_file(self):
        assert problem("m.safetensors", b"\2" + b"\0" * 7 + b"{}") == ""
        assert "impossible" in problem("m.safetensors", b"\3" + b"\0" * 7 + b"{}")

    def test_may_hold_words_of_its_own(self):
        text = b'{"__metadata__": {"format": "pt"}}'
        content = len(text).to_bytes(8, "little") + text
        assert problem("m.safetensors", content) == ""

    def test_is_all_that_is_kept_of_weights(self):
        seen = Inspector("m.safetensors")
        for start in range(0, len(content := weights(("U8", [999], 0, 999))), 10):
            seen.update(content[start : start + 10])
        assert len(seen._head) < len(content) - 980
        assert (seen.problem(), seen.size) == ("", len(content))


class TestConfiguration:
    def test_may_be_of_1_mib(self, monkeypatch):
        monkeypatch.setattr(content_module, "MAX_CONFIG", 30)
        for step in (1, 7, 100):  # however the bytes come
            assert problem("config.json", b"{}" + b" " * 28, step) == ""
            assert "1 MiB" in problem("config.json", b"{}" + b" " * 29, step)

    @pytest.mark.parametrize("name", ["config.json", "generation_config.json"])
    @pytest.mark.parametrize("code", [b'{"auto_map": 0}', b'{"trust_remote_code": true}'])
    def test_asks_for_no_code(self, name, code):
        assert "code" in problem(name, code)
        assert problem(name, b'{"trust_remote_code": false}') == ""

    def test_takes_json(self):
        assert problem("config.json", b'{"model_type": "llama"}') == ""

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b'{"auto_map": {}}', "auto_map"),
            (b"{", "not JSON"),
            (b"[]", "object"),
            (b" " * 1024**2 + b"{}", "1 MiB"),
        ],
    )
    def test_refuses_code_and_nonsense(self, content, why):
        assert why in problem("config.json", content, step=4096)


class TestText:
    @pytest.mark.parametrize("content", [b"\x80\x04K\x01.", b"PK\x03\x04", b"\x7fELF", b"a\x00b"])
    def test_refuses_what_is_not_text(self, content):
        assert "not text" in problem("README.md", content)

    @pytest.mark.parametrize("content", [b"\x1f\x8b\x08", b"a" * 511 + b"\0"])
    def test_looks_at_the_first_half_kib(self, content):
        assert "not text" in problem("merges.txt", content)

    def test_takes_text_and_the_tokenizers_own_format(self):
        assert problem("README.md", "Schlüssel".encode()) == ""
        assert problem("LICENSE", b"PK") == ""
        assert problem("tokenizer.model", b"\x80\0") == ""

    def test_wants_json_in_json(self):
        assert "not JSON" in problem("tokenizer.json", b"\x80\x04")
        assert problem("tokenizer.json", b' {"a": 1}') == ""
        assert problem("vocab.json", b"\n[1]") == ""


class TestInspector:
    def test_counts_and_digests(self):
        seen = Inspector("model.safetensors")
        seen.update(b"ab")
        seen.update(b"c")
        assert seen.size == 3
        assert seen.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
