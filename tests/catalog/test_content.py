"""What a file's bytes must look like."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

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

    @pytest.mark.parametrize(
        "content", [b"", b"\x80\x04K\x01.", b"\xff" * 64, safetensors()[:-1], safetensors() + b"x"]
    )
    def test_refuses_other_bytes(self, content):
        assert problem("model.safetensors", content) != ""

    @given(st.binary(max_size=200))
    def test_never_breaks(self, content):
        assert isinstance(problem("model.safetensors", content), str)


class TestConfiguration:
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

    def test_takes_text(self):
        assert problem("README.md", "Schlüssel".encode()) == ""

    def test_wants_json_in_json(self):
        assert "not JSON" in problem("tokenizer.json", b"\x80\x04")
        assert problem("tokenizer.json", b' {"a": 1}') == ""


class TestInspector:
    def test_counts_and_digests(self):
        seen = Inspector("model.safetensors")
        seen.update(b"ab")
        seen.update(b"c")
        assert seen.size == 3
        assert seen.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
