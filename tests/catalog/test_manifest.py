"""What may be published, and the digest of a list of files."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.manifest import (
    GIB,
    PART_SIZE,
    FileEntry,
    digest,
    file_list_problems,
    manifest,
    name_problem,
    part_count,
    part_size,
    read_manifest,
)

SHA = "ab" * 32
GOOD = [FileEntry("config.json", 10, SHA), FileEntry("model.safetensors", 100, SHA)]
entries = st.lists(
    st.builds(FileEntry, st.text(min_size=1, max_size=20), st.integers(1, 2**40), st.just(SHA)),
    unique_by=lambda entry: entry.name,
    max_size=8,
)


class TestNameProblem:
    @pytest.mark.parametrize(
        "name",
        [
            "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
            "tokenizer.model",
            "special_tokens_map.json", "model.safetensors", "model-00001-of-00002.safetensors",
            "model.safetensors.index.json", "README.md", "merges.txt", "LICENSE", "LICENSE.txt",
            "NOTICE",
            "chat_template.jinja",
        ],
    )  # fmt: skip
    def test_takes_what_a_model_consists_of(self, name):
        assert name_problem(name) == ""

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("pytorch_model.bin", "pickle"),
            ("model.pt", "pickle"),
            ("x.pth", "pickle"),
            ("x.pkl", "pickle"),
            ("x.ckpt", "pickle"),
            ("X.PKL", "pickle"),
            ("x.joblib", "pickle"),
            ("x.npy", "pickle"),
            ("modeling.py", "Python"),
            ("weights.zip", "archive"),
            ("../config.json", "paths"),
            ("/etc/passwd", "paths"),
            ("a/b.json", "paths"),
            ("a\\b.json", "paths"),
            (".gitattributes", "hidden"),
            ("..", "hidden"),
            ("", "letters"),
            ("a b.json", "letters"),
            ("con\nfig.json", "letters"),
            ("manifest.json", "itself"),
            ("model.sig", "itself"),
            ("MODEL.SIG", "itself"),
            ("weird.json", "only"),
            ("x.safetensors.exe", "only"),
            ("kernel.so", "native"),
        ],
    )
    def test_refuses_with_a_reason(self, name, why):
        assert why in name_problem(name)

    @given(st.text())
    def test_lets_no_path_through(self, name):
        if name_problem(name) == "":
            assert "/" not in name
            assert ".." not in name.split("/")
            assert name == name.strip()
            assert not name.startswith(".")


class TestFileListProblems:
    def test_takes_a_good_list(self):
        assert file_list_problems(GOOD) == []

    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ([FileEntry("CONFIG.json", 1, SHA)], "only"),
            ([FileEntry("config.json", 1, SHA)], "named twice"),
            ([FileEntry("Model.safetensors", 1, SHA)], "named twice"),
            ([FileEntry("vocab.json", 0, SHA)], "bytes"),
            ([FileEntry("big.safetensors", 11 * GIB, SHA)], "bytes"),
            ([FileEntry("vocab.json", 65 * 1024**2, SHA)], "bytes"),
            ([FileEntry("vocab.json", 5, "AB" * 32)], "sha256"),
            ([FileEntry(f"part{n}.txt", 1, SHA) for n in range(500)], "at most 500"),
            ([FileEntry(f"part{n}.safetensors", 10 * GIB, SHA) for n in range(110)], "together"),
        ],
    )
    def test_names_what_is_wrong(self, more, why):
        assert any(why in problem for problem in file_list_problems([*GOOD, *more]))

    def test_asks_for_configuration_and_weights(self):
        found = " ".join(file_list_problems([FileEntry("README.md", 1, SHA)]))
        assert "config.json is missing" in found
        assert "no weights" in found


class TestDigest:
    def test_is_the_hash_of_the_canonical_list(self):
        first = f'{{"name":"config.json","sha256":"{SHA}","size":10}}'
        text = f'[{first},{{"name":"model.safetensors","sha256":"{SHA}","size":100}}]'
        assert digest(reversed(GOOD)) == "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    @given(entries, st.randoms())
    def test_does_not_depend_on_order(self, files, random):
        shuffled = list(files)
        random.shuffle(shuffled)
        assert digest(shuffled) == digest(files)

    @given(entries.filter(len))
    def test_changes_with_a_name(self, files):
        renamed = [FileEntry(files[0].name + "x", files[0].size, files[0].sha256), *files[1:]]
        assert digest(renamed) != digest(files)


class TestManifest:
    @given(entries)
    def test_can_be_read_back(self, files):
        content = manifest(model="m", number=3, entries=files)
        assert json.loads(content)["version"] == 3
        assert digest(read_manifest(content)) == digest(files)

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{}", b'{"files": 3}', b'{"files": [{}]}', b"\xff"]
    )
    def test_says_when_it_is_no_manifest(self, content):
        with pytest.raises(ValueError):
            read_manifest(content)


class TestPartSize:
    @given(st.integers(1, 20 * PART_SIZE))
    def test_parts_make_the_file(self, size):
        assert sum(part_size(size, number) for number in range(1, part_count(size) + 1)) == size
        assert part_size(size, 0) == part_size(size, part_count(size) + 1) == 0
