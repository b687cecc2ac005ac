"""ranges.json, and manifests that mean harm."""

from typing import ClassVar

import pytest

from apps.common import model_manifest
from apps.common.model_manifest import RANGE_SIZE, FileEntry


class TestRanges:
    """ranges.json: a listed file of the manifest that the portal adds."""

    FILES = (
        FileEntry("config.json", 10, "a" * 64),
        FileEntry("model.safetensors", 2 * RANGE_SIZE + 1, "b" * 64),
    )
    DIGESTS: ClassVar = {
        "config.json": ["a" * 64],
        "model.safetensors": ["1" * 64, "2" * 64, "3" * 64],
    }

    def test_come_back_as_they_were_written(self):
        content = model_manifest.ranges(self.DIGESTS)
        listed = [*self.FILES, FileEntry("ranges.json", len(content), "c" * 64)]
        assert model_manifest.read_ranges(content, listed) == self.DIGESTS

    @pytest.mark.parametrize(
        "digests",
        [
            {"config.json": ["a" * 64]},
            {"config.json": [], "model.safetensors": ["1", "2", "3"]},
            {"config.json": ["a"], "model.safetensors": ["1", "2"]},
            {"config.json": ["a"], "model.safetensors": ["1", "2", "3"], "more.txt": ["4"]},
        ],
    )
    def test_are_of_exactly_the_files_and_all_of_them(self, digests):
        with pytest.raises(ValueError, match="other ranges than the files have"):
            model_manifest.read_ranges(model_manifest.ranges(digests), self.FILES)

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"[]", b"{}", b'{"files": 3}', b"[" * 100_000, b'{"files": {}, "files": {}}',
            b'{"algorithm": "md5", "files": {}, "range_size": 67108864}',
            b'{"algorithm": "sha256", "files": {}, "range_size": 1}',
        ],
    )  # fmt: skip
    def test_of_another_kind_are_none(self, content):
        with pytest.raises(ValueError):  # noqa: PT011 (each of them says it in its own words)
            model_manifest.read_ranges(content, self.FILES)

    def test_may_be_in_a_manifest_and_are_declared_by_nobody(self):
        files = [*self.FILES, FileEntry("ranges.json", 100, "c" * 64)]
        assert model_manifest.manifest_problems(files) == []
        assert model_manifest.manifest_problems(self.FILES) == []
        assert "portal writes this file itself" in model_manifest.file_list_problems(files)[0]
        assert model_manifest.manifest_problems([*files, files[-1]]) == [
            "ranges.json: listed twice."
        ]
        odd = [*self.FILES, FileEntry("ranges.json", 100, "C" * 64)]
        assert "sha256" in model_manifest.manifest_problems(odd)[0]


class TestHostileManifests:
    """A manifest comes from the registry, and whoever reads it believes nothing of it."""

    @pytest.mark.parametrize(
        "name",
        [
            "../config.json", "/etc/passwd", "a/b.json", "..", "a\\b.json", "c:config.json",
            "config.json\u0000", "c\u043enfig.json", "config\uff0ejson", "config.json ",
            ".config.json", "model.safetensors.py", "Manifest.json", "MODEL.SIG", "Ranges.json",
        ],
    )  # fmt: skip
    def test_names_no_path_and_nothing_that_looks_like_another(self, name):
        good = [FileEntry("config.json", 1, "a" * 64), FileEntry("m.safetensors", 1, "b" * 64)]
        assert model_manifest.manifest_problems(good) == []
        assert model_manifest.manifest_problems([*good, FileEntry(name, 1, "c" * 64)])

    def test_names_no_two_files_that_differ_by_case_alone(self):
        files = [
            FileEntry("config.json", 1, "a" * 64),
            FileEntry("m.safetensors", 1, "b" * 64),
            FileEntry("M.safetensors", 1, "c" * 64),
        ]
        assert "m.safetensors: listed twice." in model_manifest.manifest_problems(files)

    @pytest.mark.parametrize(
        "content",
        [
            b'{"files": [], "files": [{"name": "a", "size": 1, "sha256": "b"}]}',
            b'{"files": [{"name": "a", "name": "b", "size": 1, "sha256": "b"}]}',
            b'{"files": [{"name": "a", "size": "1", "sha256": "b"}]}',
            b'{"files": [{"name": "a", "size": 1.5, "sha256": "b"}]}',
            b'{"files": [{"name": "a", "size": true, "sha256": "b"}]}',
            b'{"files": [{"name": 1, "size": 1, "sha256": "b"}]}',
            b'{"files": "abc"}', b"[]", b"{}", b"", b"[" * 200_000,
        ],
    )  # fmt: skip
    def test_says_the_same_to_every_reader_or_nothing(self, content):
        with pytest.raises(ValueError):  # noqa: PT011 (each of them says it in its own words)
            model_manifest.read_manifest(content)
