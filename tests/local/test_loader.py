"""The loader against a registry: what it loads, what it says of it, and what it refuses."""

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings, strategies

from apps.common.model_manifest import digest, signer_name
from apps.common.signing import FileSigner
from deploy.local.kubelet import rehearsal
from deploy.serving import loader
from deploy.serving.loader import LoadFailed, load
from tests.local.cluster_context import ROOT
from tests.local.registry_double import (
    KEYS,
    SIGNER,
    Objects,
    documents,
    entry,
    registry,
    version_objects,
)
from tests.local.tiny_model import make_tiny_model

SOURCE = "s3://model-registry/m/v1/"


@pytest.fixture
def version(tmp_path: Path) -> tuple[Objects, str]:
    """Two versions side by side; the first is the one to load."""
    other, _ = version_objects(make_tiny_model(tmp_path / "other", context_length=7), "m/v10")
    objects, approved = version_objects(make_tiny_model(tmp_path / "made"), "m/v1")
    return other | objects, approved


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


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "mnt" / "models"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def of_version(objects: Objects, prefix: str = "m/v1/") -> dict[str, bytes]:
    """Return the files of a version as the engine must find them."""
    found = {
        key.removeprefix(prefix): body for key, body in objects.items() if key.startswith(prefix)
    }
    return {name: body for name, body in found.items() if name not in loader.DOCUMENTS}


class TestLoad:
    def test_gives_the_very_files_of_the_version_and_measures_them(
        self, version: tuple[Objects, str], s3: Any, models: Path
    ) -> None:
        report = load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        expected = of_version(version[0])
        assert files(models) == expected
        assert (report.digest, report.files) == (version[1], len(expected))
        assert report.bytes == sum(map(len, expected.values()))
        assert report.signer == signer_name(SIGNER.public_key)

    def test_leaves_files_that_an_engine_of_another_user_can_read(
        self, version: tuple[Objects, str], s3: Any, models: Path
    ) -> None:
        load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        assert {stat.S_IMODE(path.stat().st_mode) for path in models.iterdir()} == {0o644}

    def test_reads_what_is_there_already_and_loads_what_is_not_as_it_should_be(
        self,
        version: tuple[Objects, str],
        s3: Any,
        models: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        first = load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        (models / "config.json").write_bytes(b"x" * len(version[0]["m/v1/config.json"]))
        (models / "tokenizer.json").unlink()
        (models / "model.safetensors.loading").write_bytes(b"half")
        capsys.readouterr()
        again = load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        said = capsys.readouterr().out
        assert "config.json: loading" in said
        assert "tokenizer.json: loading" in said
        assert "model.safetensors: loading" not in said
        assert files(models) == of_version(version[0])
        assert again.digest == first.digest

    @pytest.mark.parametrize(
        ("key", "content", "message"),
        [
            ("m/v1/config.json", None, r"config\.json: listed in manifest\.json, missing"),
            ("m/v1/extra.bin", b"x", r"extra\.bin: in the registry, not listed"),
            ("m/v1/config.json", b"{}", r"config\.json: 2 bytes in the registry"),
            ("m/v1/manifest.json", None, r"manifest\.json: missing"),
            ("m/v1/manifest.json", b"{}", r"manifest\.json: not a manifest"),
            ("m/v1/manifest.json", b"x" * (2**20 + 1), r"manifest\.json: it is too large"),
            (
                "m/v1/manifest.json",
                b'{"files": [{"name": "../x", "sha256": "", "size": 1}]}',
                "lists what may not be served",
            ),
            ("m/v1/model.sig", None, r"model\.sig: missing in the registry"),
            ("m/v1/model.sig", b"{}", r"model\.sig is not a model-signing bundle"),
        ],
    )
    def test_names_the_file_that_is_wrong_and_loads_nothing(
        self,
        version: tuple[Objects, str],
        s3: Any,
        models: Path,
        key: str,
        content: bytes | None,
        message: str,
    ) -> None:
        if content is None:
            del version[0][key]
        else:
            version[0][key] = content
        with pytest.raises(LoadFailed, match=message):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        assert not models.exists()

    def test_finds_one_byte_that_is_another_than_was_signed(
        self, version: tuple[Objects, str], s3: Any, models: Path
    ) -> None:
        content = version[0]["m/v1/model.safetensors"]
        version[0]["m/v1/model.safetensors"] = content[:-1] + bytes([content[-1] ^ 1])
        with pytest.raises(LoadFailed, match=r"model\.safetensors: SHA-256 is"):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        assert not (models / "model.safetensors").exists()

    def test_refuses_another_version_than_the_approved_one(self, s3: Any, models: Path) -> None:
        with pytest.raises(LoadFailed, match="approved was sha256:0"):
            load(SOURCE, models, approved="sha256:0", keys=KEYS, s3=s3)

    def test_refuses_what_no_trusted_key_signed(
        self, version: tuple[Objects, str], s3: Any, models: Path
    ) -> None:
        entries = [entry(name, body) for name, body in of_version(version[0]).items()]
        stranger = FileSigner(ec.generate_private_key(ec.SECP256R1()))
        version[0].update(documents(entries, "m/v1", stranger))
        with pytest.raises(LoadFailed, match=r"model\.sig was not made by Registry key"):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)

    def test_refuses_a_signature_over_another_version(
        self, version: tuple[Objects, str], s3: Any, models: Path
    ) -> None:
        version[0]["m/v1/model.sig"] = version[0]["m/v10/model.sig"]
        with pytest.raises(LoadFailed, match=r"model\.sig was made for another config\.json"):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)

    def test_refuses_what_can_carry_code_though_it_is_signed_and_approved(
        self, version: tuple[Objects, str], s3: Any, models: Path
    ) -> None:
        version[0]["m/v1/pytorch_model.bin"] = b"\x80\x04."
        entries = [entry(name, body) for name, body in of_version(version[0]).items()]
        version[0].update(documents(entries, "m/v1"))
        with pytest.raises(LoadFailed, match=r"may not be served\. pytorch_model\.bin"):
            load(SOURCE, models, approved=digest(entries), keys=KEYS, s3=s3)

    @pytest.mark.parametrize("keys", [b"", b"-----BEGIN"])
    def test_loads_nothing_without_a_key(
        self, version: tuple[Objects, str], s3: Any, models: Path, keys: bytes
    ) -> None:
        with pytest.raises(LoadFailed, match="TRUSTED_KEYS: "):
            load(SOURCE, models, approved=version[1], keys=keys, s3=s3)

    def test_refuses_a_folder_with_something_else_in_it(
        self, version: tuple[Objects, str], s3: Any, models: Path, tmp_path: Path
    ) -> None:
        models.mkdir(parents=True)
        (models / "sitecustomize.py").write_text("")
        with pytest.raises(LoadFailed, match=r"sitecustomize\.py: in .*, not listed"):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        (models / "sitecustomize.py").unlink()
        (models / "config.json").symlink_to(tmp_path / "made" / "config.json")
        with pytest.raises(LoadFailed, match=r"config\.json: in "):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)

    def test_reads_no_other_file_to_its_end_once_one_is_wrong(
        self, version: tuple[Objects, str], s3: Any, models: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loader, "AT_ONCE", 1)
        monkeypatch.setattr(loader, "CHUNK", 16)
        content = version[0]["m/v1/tokenizer.json"]  # the largest, so the first
        version[0]["m/v1/tokenizer.json"] = b" " + content[1:]
        with pytest.raises(LoadFailed, match=r"tokenizer\.json: SHA-256 is"):
            load(SOURCE, models, approved=version[1], keys=KEYS, s3=s3)
        assert not list(models.glob("[!.]*.json"))

    @pytest.mark.parametrize("source", ["gs://b/x", "s3://bucket", "s3://model-registry/none/v1"])
    def test_says_what_is_wrong_with_an_address(self, s3: Any, models: Path, source: str) -> None:
        with pytest.raises(LoadFailed, match=source.partition("//")[2].partition("/")[0]):
            load(source, models, approved="sha256:0", keys=KEYS, s3=s3)


class TestEveryByte:
    @settings(max_examples=25, deadline=None)
    @given(data=strategies.data())
    def test_counts(self, data: strategies.DataObject) -> None:
        """Whatever single byte of whatever file changes, the digest that is measured is another."""
        contents = {"config.json": b'{"a": 1}', "m.safetensors": bytes(range(64))}
        before = digest([entry(name, body) for name, body in contents.items()])
        name = data.draw(strategies.sampled_from(sorted(contents)))
        place = data.draw(strategies.integers(0, len(contents[name]) - 1))
        turned = bytearray(contents[name])
        turned[place] ^= data.draw(strategies.integers(1, 255))
        contents[name] = bytes(turned)
        assert digest([entry(each, body) for each, body in contents.items()]) != before


class TestMain:
    """The program, as a pod starts it."""

    @pytest.fixture
    def run(self, version: tuple[Objects, str], s3: Any, tmp_path: Path, models: Path, monkeypatch):
        def run(approved: str = version[1], keys: bytes = KEYS, client: Any = s3):
            monkeypatch.setenv("APPROVED_DIGEST", approved)
            monkeypatch.setenv("TRUSTED_KEYS", keys.decode())
            message = tmp_path / "message"
            arguments = [SOURCE, str(models), f"--message={message}"]
            return loader.main(arguments, connect=lambda: client), message.read_text()

        return run

    def test_leaves_what_it_measured_where_the_cluster_reads_it(self, run, version) -> None:
        code, said = run()
        assert code == 0
        assert len(said) < 4096
        assert json.loads(said) == {
            "digest": version[1],
            "files": 5,
            "bytes": sum(map(len, of_version(version[0]).values())),
            "seconds": pytest.approx(1, abs=30),
            "signer": signer_name(SIGNER.public_key),
        }

    def test_leaves_a_sentence_where_it_fails(self, run) -> None:
        assert run(approved="")[0] == 1
        assert run(approved="")[1] == "APPROVED_DIGEST: this pod does not say what was approved"
        assert run(keys=b"")[1].startswith("TRUSTED_KEYS: there is no public key in it")

    def test_reads_the_copy_where_the_environment_names_one(self, run, s3, monkeypatch) -> None:
        asked = []
        s3.meta.events.register(
            "provide-client-params.s3.*", lambda params, **_: asked.append(params["Bucket"])
        )
        monkeypatch.setenv("REGISTRY_COPY", "registry-of-the-west")
        run()
        assert set(asked) == {"registry-of-the-west"}
        asked.clear()
        monkeypatch.setenv("REGISTRY_COPY", "")
        assert run()[0] == 0
        assert set(asked) == {"model-registry"}

    @pytest.mark.parametrize(
        ("fault", "message"),
        [("checksum", "SHA-256 is"), ("object-missing", "S3 answered 404 NoSuchKey")],
    )
    def test_really_fails_in_a_rehearsal(self, run, s3, models, fault: str, message: str) -> None:
        code, said = run(client=rehearsal.FaultyRegistry(s3, fault))
        assert (code, message in said) == (1, True), said
        assert not list(models.iterdir())
        assert run()[0] == 0


class TestImage:
    def test_holds_all_that_the_program_imports_and_nothing_else_of_the_product(
        self, tmp_path: Path
    ) -> None:
        """Copy what the recipe copies, and start the program there."""
        recipe = (ROOT / "deploy/serving/Containerfile").read_text().replace("\\\n", " ")
        for line in re.findall(r"^COPY (?!--from)(.+)$", recipe, re.MULTILINE):
            *sources, target = line.split()
            if not target.startswith("/app/"):
                continue
            (tmp_path / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            for source in sources:
                copy = tmp_path / target.lstrip("/") / Path(source).name
                copy.write_bytes((ROOT / source).read_bytes())
        command = [sys.executable, "-m", "deploy.serving.loader", "--help"]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "app")}, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert b"s3://BUCKET/MODEL/VERSION" in done.stdout

    def test_locks_the_products_own_versions(self) -> None:
        def pinned(path: str) -> dict[str, str]:
            lines = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / path).read_text(), re.MULTILINE)
            return dict(lines)

        ours = pinned("deploy/serving/requirements.lock")
        assert {"boto3", "cryptography", "rfc8785"} <= ours.keys()
        assert ours.items() <= pinned("requirements.lock").items()


class TestConnect:
    @pytest.fixture(autouse=True)
    def on_aws(self, monkeypatch):
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")

    def asked_at(self):
        asked = {"Bucket": "models", "Key": "m/v1/config.json"}
        return loader.connect().generate_presigned_url("get_object", Params=asked).split("?")[0]

    def test_asks_aws_at_the_buckets_own_host(self):
        assert self.asked_at() == "https://models.s3.amazonaws.com/m/v1/config.json"

    @pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
    def test_asks_another_server_by_the_path(self, monkeypatch, name):
        monkeypatch.setenv(name, "http://minio.internal:9000")
        assert self.asked_at() == "http://minio.internal:9000/models/m/v1/config.json"
