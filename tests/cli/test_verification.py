"""Checking a copy on this machine, offline."""

import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from apps.cli.__main__ import run
from apps.common import model_manifest
from apps.common.model_manifest import FileEntry
from apps.common.signing import FileSigner, public_pem
from tests.catalog.samples import declared, folder


@pytest.fixture
def signer():
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def copy(tmp_path, signer):
    """A downloaded version with its documents, and the registry's key beside it."""
    found = tmp_path / "extract-v3"
    found.mkdir()
    contents = folder()
    entries = declared(contents)
    for name, body in contents.items():
        (found / name).write_bytes(body)
    manifest = model_manifest.manifest(model="extract", number=3, entries=entries)
    (found / "manifest.json").write_bytes(manifest)
    bundle = model_manifest.sign(name="extract-v3", entries=entries, signer=signer)
    (found / "model.sig").write_bytes(bundle)
    (tmp_path / "key.pem").write_bytes(public_pem(signer.public_key))
    return found


@pytest.fixture
def verify(copy, capsys):
    def command(*more, key=copy.parent / "key.pem"):
        words = ["verify", "--folder", copy, "--public-key", key, "--json", *more]
        code = run([str(word) for word in words])
        return code, json.loads(capsys.readouterr().out or "{}")

    return command


class TestVerify:
    def test_takes_what_is_as_it_was_signed(self, verify, signer):
        code, found = verify()
        assert (code, found["verified"], found["name"], found["files"]) == (
            0,
            True,
            "extract-v3",
            3,
        )
        assert found["signer"] == model_manifest.signer_name(signer.public_key)
        assert found["digest"] == model_manifest.digest(declared(folder()))
        assert verify("extract-v3")[0] == 0

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                lambda f: (f / "config.json").write_bytes(b'{"model_type": "llamA"}'),
                "expected sha256",
            ),
            (lambda f: (f / "config.json").write_bytes(b"{}"), "expected 23 bytes, found 2"),
            (lambda f: (f / "LICENSE").unlink(), "LICENSE: it is missing"),
            (lambda f: (f / "LICENSE").rename(f / "NOTICE"), "NOTICE: it lies in"),
            (lambda f: (f / "extra.py").write_text("1"), "extra.py: it lies in"),
            (lambda f: (f / ".hidden.py").write_text("1"), ".hidden.py: it lies in"),
            (lambda f: (f / "NOTICE").symlink_to(f / "LICENSE"), "more than plain files: NOTICE"),
            (lambda f: os.mkfifo(f / "pipe"), "more than plain files: pipe"),
            (lambda f: (f / ".cache").mkdir(), "more than plain files: .cache"),
            (lambda f: (f / "model.sig").write_text("{}"), "not a model-signing bundle"),
            (lambda f: (f / "model.sig").unlink(), "model.sig: "),
            (lambda f: (f / "manifest.json").write_text("{}"), "manifest.json: "),
            (lambda f: (f / "manifest.json").unlink(), "manifest.json: "),
        ],
    )
    def test_names_what_is_not(self, verify, copy, change, words):
        change(copy)
        code, found = verify()
        assert (code, found["verified"]) == (8, False)
        assert any(words in problem for problem in found["problems"])

    def test_takes_no_version_by_the_name_of_another(self, verify, copy):
        """manifest.json, which says the name, is not signed itself."""
        manifest = copy / "manifest.json"
        manifest.write_bytes(manifest.read_bytes().replace(b'"version":3', b'"version":4'))
        code, found = verify("extract-v4")
        assert (code, found["problems"]) == (
            8,
            ["model.sig was made for extract-v3, not for extract-v4."],
        )

    def test_writes_no_control_of_a_name_to_the_terminal(self, copy, capsys):
        (copy / "x\x1b]0;\u202etxt.exe").write_text("1")
        key = copy.parent / "key.pem"
        assert run(["verify", "--folder", str(copy), "--public-key", str(key)]) == 8
        said = capsys.readouterr().err
        assert "x\\x1b]0;\\u202etxt.exe: it lies in" in said
        assert "\x1b" not in said.replace("\x1b[K", "")

    @pytest.mark.parametrize(
        "names",
        [["../up.safetensors"], ["/etc/passwd"], ["Config.json"], ["model.safetensors"]],
    )
    def test_believes_no_manifest_with_hostile_names(self, verify, copy, signer, names):
        listed = [*declared(folder()), *(FileEntry(name, 1, "0" * 64) for name in names)]
        manifest = model_manifest.manifest(model="extract", number=3, entries=listed)
        (copy / "manifest.json").write_bytes(manifest)
        code, found = verify()
        assert (code, found["verified"]) == (8, False)

    def test_takes_no_other_registrys_signature(self, verify, tmp_path):
        other = tmp_path / "other.pem"
        other.write_bytes(public_pem(ec.generate_private_key(ec.SECP256R1()).public_key()))
        code, found = verify(key=other)
        assert (code, "was not made by" in found["problems"][0]) == (8, True)

    def test_takes_no_other_version_for_the_one_that_was_named(self, verify):
        code, found = verify("extract-v4")
        assert (code, found["problems"]) == (8, ["It is extract-v3, not extract-v4."])

    def test_says_what_is_missing_on_the_command_line(self, copy, tmp_path, capsys):
        key = tmp_path / "key.pem"
        key.write_text("nonsense")
        assert run(["verify"]) == 2
        assert run(["verify", "--public-key", str(key)]) == 2
        assert run(["verify", "--public-key", str(key), "--folder", str(copy)]) == 2
        assert run(["verify", "--public-key", str(tmp_path / "no"), "--folder", str(copy)]) == 2
        assert run(["verify", "extract"]) == 2
        assert "is not the name of a version" in capsys.readouterr().err
