"""Publishing a folder: the whole way to a verified version, and everything that can go wrong."""

import os
from datetime import UTC, datetime

import pytest

from apps.catalog import reconcile
from apps.catalog.models import ModelFile, ModelVersion
from apps.cli import folder as folders
from apps.cli.portal import Portal
from apps.cli.progress import Progress
from apps.common.model_manifest import PART_SIZE
from apps.common.signing import FileSigner
from tests.catalog.samples import folder, new_model, safetensors

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("people", "line")]
WEIGHTS = safetensors(3 * PART_SIZE // 2)  # three parts and a bit


class Killed(BaseException):
    """What no code of the command line sees coming."""


@pytest.fixture
def model(alice):
    return new_model(alice)


@pytest.fixture
def directory(tmp_path):
    found = tmp_path / "extract"
    found.mkdir()
    for name, body in folder(model__safetensors=WEIGHTS).items():
        (found / name).write_bytes(body)
    (found / ".cache").mkdir()
    return found


@pytest.fixture
def publish(cli, directory, model):
    """Publish the folder, without waiting for the worker."""

    def command(*more):
        return cli("publish", directory, "--model", model.name, "--no-wait", "--json", *more)

    return command


def verify_all(store, settings):
    """Let the worker do all of its steps."""
    signer = FileSigner.load(settings.SIGNING_KEY_FILE)
    for version in ModelVersion.objects.filter(status__in=("SIGNING", "VERIFYING")):
        while version.status in ("SIGNING", "VERIFYING"):
            now = datetime.now(UTC)
            ModelVersion.objects.filter(pk=version.pk).update(next_check_at=now)
            version.refresh_from_db()
            before = version.status
            reconcile.reconcile_version(
                version=version,
                store=store,
                signer=lambda: signer,
                keys=lambda: [signer.public_key],
                now=now,
            )
            version.refresh_from_db()
            assert version.status != before, version.message


class TestPublish:
    def test_sends_every_byte_past_the_portal(self, publish, line, store, settings, model):
        code, answer, said = publish("--note", "First")
        assert (code, answer["status"], answer["number"]) == (0, "SIGNING", 1)
        assert line.sent == {"passed": 6}
        assert "Sending: 24.0 MiB of 24.0 MiB (100 %)" in said
        verify_all(store, settings)
        version = ModelVersion.objects.get()
        assert (version.status, version.note) == ("VERIFIED", "First")
        stored = b"".join(store.read(f"{model.name}/v1/model.safetensors"))
        assert stored == WEIGHTS

    def test_waits_for_the_end_and_says_whose_signature_it_is(
        self, cli, directory, model, store, settings, monkeypatch
    ):
        looks = iter([None, None, None])
        monkeypatch.setattr(
            "apps.cli.watching.waits.until", lambda *_: _working(store, settings, looks)
        )
        code, answer, said = cli("publish", directory, "-m", model.name)
        assert code == 0
        assert answer.startswith(f"{model.name}-v1 is verified. sha256:")
        assert "signed by Registry key" in answer
        assert "is signing." in said

    def test_finds_what_it_published_already(self, publish, line):
        publish()
        line.sent.clear()
        code, answer, said = publish()
        assert (code, answer["number"]) == (0, 1)
        assert "holds exactly these files already" in said
        assert not line.sent
        assert publish("--again")[1]["number"] == 2

    @pytest.mark.parametrize("at", [1, PART_SIZE, 2 * PART_SIZE + 1, 3 * PART_SIZE])
    def test_goes_on_after_a_kill(self, publish, line, monkeypatch, at):
        add = Progress.add

        def killed(self, count):
            add(self, count)
            if self.label == "Sending" and self.done >= at:
                raise Killed

        monkeypatch.setattr(Progress, "add", killed)
        with pytest.raises(Killed):
            publish()
        monkeypatch.setattr(Progress, "add", add)
        assert line.sent["passed"] >= 1
        code, answer, said = publish()
        assert (code, answer["status"], answer["number"]) == (0, "SIGNING", 1)
        assert line.sent["passed"] == 6, "a part that S3 had was sent again"
        assert "(100 %)" in said

    def test_goes_on_after_a_kill_before_it_was_closed(self, publish, monkeypatch):
        send = Portal.send

        def killed(self, path, *more, **named):
            if path.endswith("/finish"):
                raise Killed
            return send(self, path, *more, **named)

        monkeypatch.setattr(Portal, "send", killed)
        with pytest.raises(Killed):
            publish()
        monkeypatch.setattr(Portal, "send", send)
        assert publish()[1]["status"] == "SIGNING"
        assert ModelVersion.objects.count() == 1


def _working(store, settings, looks):
    for _ in looks:
        yield
        verify_all(store, settings)


class TestFaultsOfS3:
    @pytest.mark.parametrize("fault", ["slow_down", "error_in_200", "cut", "lost_answer"])
    def test_are_tried_again_and_lose_nothing(self, publish, line, store, settings, fault):
        line.faults.extend([fault, fault, "", fault])
        code, answer, _ = publish()
        assert (code, answer["status"]) == (0, "SIGNING")
        assert line.sent[fault] == 3
        verify_all(store, settings)
        assert ModelVersion.objects.get().status == "VERIFIED"

    @pytest.mark.parametrize("fault", ["slow_down", "error_in_200", "cut"])
    def test_that_last_end_it_and_say_how_to_go_on(self, publish, line, fault):
        line.faults.extend([fault] * 100)
        code, _, said = publish()
        assert code == 7
        assert '"storage_away"' in said
        assert "goes on where it stopped" in said
        line.faults.clear()
        assert publish()[1]["status"] == "SIGNING"

    def test_an_upload_that_s3_threw_away_begins_anew(self, publish, line, store, model):
        line.faults.extend([""] * 2 + ["slow_down"] * 100)
        assert publish()[0] == 7
        for file in ModelFile.objects.exclude(upload_id=""):
            store.abort_upload(f"{model.name}/v1/{file.name}", file.upload_id)
        line.faults.clear()
        assert publish()[1]["status"] == "SIGNING"


class TestBadFolders:
    def test_are_refused_before_a_byte_is_read(self, publish, directory, monkeypatch):
        (directory / "evil.pkl").write_bytes(b"x")
        monkeypatch.setattr(folders, "read_file", None)
        code, _, said = publish()
        assert code == 6
        assert ".pkl files can carry code" in said
        assert not ModelVersion.objects.exists()

    def test_with_links_are_refused(self, publish, directory):
        (directory / "tokenizer.json").symlink_to("/etc/passwd")
        code, _, said = publish()
        assert (code, "Only plain files" in said) == (6, True)

    def test_of_a_file_that_changes_while_it_is_sent(self, publish, directory, line, monkeypatch):
        """S3 is told what the bytes must be, so that others never arrive."""
        real = folders.state_of
        monkeypatch.setattr(
            folders, "state_of", lambda handle: folders.State(real(handle).size, 0, 0)
        )
        read = folders.read_file

        def then_changed(path, tell):
            found = read(path, tell=tell)
            if path.name == "model.safetensors":
                with path.open("r+b") as stream:
                    stream.write(b"\xff" * 64)
            return found

        monkeypatch.setattr(folders, "read_file", then_changed)
        code, _, said = publish()
        assert (code, '"file_changed"' in said) == (6, True)
        assert ModelVersion.objects.get().status == "UPLOADING"
        assert [part["PartNumber"] for part in _weights().parts].count(1) == 0

    def test_of_a_file_that_was_cut_short_after_it_was_read(self, publish, directory, monkeypatch):
        read = folders.read_file

        def then_cut(path, tell):
            found = read(path, tell=tell)
            if path.name == "model.safetensors":
                os.truncate(path, 100)
            return found

        monkeypatch.setattr(folders, "read_file", then_cut)
        code, _, said = publish()
        assert (code, '"file_changed"' in said) == (6, True)

    def test_of_another_model_are_not_found(self, cli, directory):
        code, _, said = cli("publish", directory, "-m", "nothing-here", "--no-wait")
        assert (code, "Nothing is here" in said) == (5, True)

    def test_of_what_is_no_model_are_not_asked_for(self, cli, directory):
        code, _, said = cli("publish", directory, "-m", "../me?x=", "--no-wait")
        assert (code, "is not the name of a model" in said) == (2, True)

    def test_of_somebody_elses_model_are_not_theirs_to_publish(self, publish, monkeypatch):
        monkeypatch.setenv("QUARTERMASTER_TOKEN", "charlie")
        code, _, said = publish()
        assert (code, '"not_permitted"' in said) == (4, True)


def _weights():
    return ModelFile.objects.get(name="model.safetensors")
