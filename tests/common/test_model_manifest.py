"""What may be published, and the digest of a list of files."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.model_manifest import (
    PART_SIZE,
    FileEntry,
    canonical,
    digest,
    file_list_problems,
    manifest,
    name_problem,
    part_count,
    part_size,
    read_manifest,
)

SHA = "ab" * 32
GIB = 1024**3
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

    @pytest.mark.parametrize(
        ("kind", "suffixes"),
        [
            ("pickle", "bin pt pth pkl pickle ckpt joblib npy npz"),
            ("code", "h5 keras"),
            ("Python code", "py"),
            ("native code", "so"),
            ("an archive", "zip tar gz 7z"),
        ],
    )
    def test_says_what_a_format_can_carry(self, kind, suffixes):
        for suffix in suffixes.split():
            said = name_problem(f"model.{suffix}")
            assert f": .{suffix} files can carry code ({kind}); publish weights" in said

    def test_takes_200_characters_and_quotes_80(self):
        assert name_problem("a" * 196 + ".txt") == ""
        assert "at most 200" in name_problem("a" * 197 + ".txt")
        assert name_problem("b" * 79 + " ").startswith("b" * 79 + " :")
        assert name_problem("b" * 80 + " ").startswith(repr("b" * 80) + ":")
        assert name_problem("b\0").startswith("'b\\x00'")

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
            ([FileEntry("config.json", 1, SHA)], "listed twice"),
            ([FileEntry("Model.safetensors", 1, SHA)], "listed twice"),
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

    @pytest.mark.parametrize(
        "more",
        [
            [FileEntry("vocab.json", 64 * 1024**2, SHA)],
            [FileEntry("big.safetensors", 10 * GIB, SHA)],
            [FileEntry("vocab.json", 1, SHA)],
            [FileEntry(f"part{n}.txt", 1, SHA) for n in range(498)],
            [FileEntry(f"p{n}.safetensors", 10 * GIB, SHA) for n in range(102)]
            + [FileEntry("rest.safetensors", 4 * GIB - 110, SHA)],
        ],
    )
    def test_takes_what_is_just_within_bounds(self, more):
        assert file_list_problems([*GOOD, *more]) == []

    @pytest.mark.parametrize(
        ("more", "found"),
        [
            (
                [FileEntry("vocab.json", 64 * 1024**2 + 1, SHA)],
                ["vocab.json: 67,108,865 bytes; a file of this kind has 1 to 67,108,864."],
            ),
            (
                [FileEntry("a.txt", 1, SHA), FileEntry("A.txt", 1, SHA)],
                ["a.txt: listed twice."],
            ),
            (
                [FileEntry(f"part{n}.txt", 1, SHA) for n in range(499)],
                ["501 files: a version has at most 500."],
            ),
            (
                [FileEntry(f"p{n}.safetensors", 10 * GIB, SHA) for n in range(102)]
                + [FileEntry("rest.safetensors", 4 * GIB - 109, SHA)],
                ["The files are larger than 1024 GiB together."],
            ),
            ([FileEntry("x.txt", 1, SHA + "0")], None),
        ],
    )
    def test_says_only_what_is_wrong(self, more, found):
        problems = file_list_problems([*GOOD, *more])
        assert problems == found if found else len(problems) == 1


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
        assert content == canonical(json.loads(content))
        assert (json.loads(content)["version"], json.loads(content)["model"]) == (3, "m")
        assert digest(read_manifest(content)) == digest(files)

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{}", b'{"files": 3}', b'{"files": [{}]}', b"\xff"]
    )
    def test_says_when_it_is_no_manifest(self, content):
        with pytest.raises(ValueError):
            read_manifest(content)


class TestCanonical:
    def test_is_short_sorted_and_utf_8(self):
        assert canonical({"b": [1, 2], "a": "ü"}) == '{"a":"ü","b":[1,2]}'.encode()


class TestPartSize:
    def test_is_8_mib_but_of_the_last(self):
        mib = 1024**2
        size = 16 * mib + 1
        assert part_count(size) == 3
        assert [part_size(size, n) for n in range(5)] == [0, 8 * mib, 8 * mib, 1, 0]
        assert (part_count(8 * mib), part_count(8 * mib + 1)) == (1, 2)

    @given(st.integers(1, 20 * PART_SIZE))
    def test_parts_make_the_file(self, size):
        assert sum(part_size(size, number) for number in range(1, part_count(size) + 1)) == size
        assert part_size(size, 0) == part_size(size, part_count(size) + 1) == 0
