from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from deploy.local.kubelet import storage_initializer
from deploy.local.kubelet.storage_initializer import LoadFailed, load
from tests.local.registry_double import Objects, registry, version_objects
from tests.local.tiny_model import make_tiny_model

SOURCE = "s3://model-registry/m/v1/"


@pytest.fixture
def version(tmp_path: Path) -> tuple[Objects, str]:
    return version_objects(make_tiny_model(tmp_path / "made"), "m/v1")


@pytest.fixture
def s3(version: tuple[Objects, str]) -> Iterator[Any]:
    with registry(version[0]) as environment:
        yield boto3.client(
            "s3",
            endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
            aws_access_key_id="k",
            aws_secret_access_key="s",
            region_name="us-east-1",
        )


class TestLoad:
    def test_gives_the_very_files_of_the_version(
        self, version: tuple[Objects, str], s3: Any, tmp_path: Path
    ) -> None:
        folder = load(SOURCE, tmp_path / "cache", version[1], s3)
        assert folder.name == version[1].removeprefix("sha256:")
        assert (folder / "model.safetensors").read_bytes() == version[0]["m/v1/model.safetensors"]
        assert not (folder / "model.sig").exists()

    def test_loads_nothing_twice_and_still_verifies(
        self,
        version: tuple[Objects, str],
        s3: Any,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        folder = load(SOURCE, tmp_path, version[1], s3)
        (folder / "config.json").write_bytes(b"x" * len(version[0]["m/v1/config.json"]))
        capsys.readouterr()
        load(SOURCE, tmp_path, version[1], s3)
        said = capsys.readouterr().out
        assert "config.json: loading" in said
        assert "model.safetensors: loading" not in said
        assert (folder / "config.json").read_bytes() == version[0]["m/v1/config.json"]

    def test_notices_an_object_that_was_changed_after_it_was_loaded(
        self, version: tuple[Objects, str], s3: Any, tmp_path: Path
    ) -> None:
        load(SOURCE, tmp_path, version[1], s3)
        content = version[0]["m/v1/config.json"]
        version[0]["m/v1/config.json"] = b" " + content[1:]
        with pytest.raises(LoadFailed, match=r"config\.json: SHA-256 is"):
            load(SOURCE, tmp_path, version[1], s3)

    @pytest.mark.parametrize(
        ("key", "content", "message"),
        [
            ("m/v1/config.json", None, r"config\.json: listed in manifest\.json, missing"),
            ("m/v1/extra.bin", b"x", r"extra\.bin: in the registry, not listed"),
            ("m/v1/config.json", b"{}", r"config\.json: 2 bytes in the registry"),
            ("m/v1/manifest.json", None, r"manifest\.json: missing"),
            ("m/v1/manifest.json", b"{}", r"manifest\.json: not a manifest"),
            (
                "m/v1/manifest.json",
                b'{"files": [{"name": "../x", "sha256": "", "size": 1}]}',
                "not allowed",
            ),
        ],
    )
    def test_names_the_file_that_is_wrong(
        self,
        version: tuple[Objects, str],
        s3: Any,
        tmp_path: Path,
        key: str,
        content: bytes | None,
        message: str,
    ) -> None:
        if content is None:
            del version[0][key]
        else:
            version[0][key] = content
        with pytest.raises(LoadFailed, match=message):
            load(SOURCE, tmp_path, version[1], s3)

    def test_refuses_another_version_than_the_approved_one(self, s3: Any, tmp_path: Path) -> None:
        with pytest.raises(LoadFailed, match="approved was sha256:0"):
            load(SOURCE, tmp_path, "sha256:0", s3)

    @pytest.mark.parametrize(
        ("fault", "message"),
        [("checksum", "config.json: SHA-256 is"), ("object-missing", "S3 answered 404 NoSuchKey")],
    )
    def test_really_fails_in_a_rehearsal(
        self, version: tuple[Objects, str], s3: Any, tmp_path: Path, fault: str, message: str
    ) -> None:
        load(SOURCE, tmp_path, version[1], s3)
        with pytest.raises(LoadFailed, match=message):
            load(SOURCE, tmp_path, version[1], s3, fault)
        load(SOURCE, tmp_path, version[1], s3)

    @pytest.mark.parametrize("source", ["gs://b/x", "s3://bucket", "s3://model-registry/none/v1"])
    def test_says_what_is_wrong_with_an_address(self, s3: Any, tmp_path: Path, source: str) -> None:
        with pytest.raises(LoadFailed, match=source.partition("//")[2].partition("/")[0]):
            load(source, tmp_path, "", s3)


class TestPrune:
    def test_keeps_the_versions_used_last_and_the_one_in_use(self, tmp_path: Path) -> None:
        for number in range(9):
            (tmp_path / str(number)).mkdir()
        storage_initializer.prune(tmp_path, tmp_path / "0")
        assert len(list(tmp_path.iterdir())) >= storage_initializer.KEPT_VERSIONS
        assert (tmp_path / "0").exists()
