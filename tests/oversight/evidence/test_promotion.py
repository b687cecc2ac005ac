"""The evidence of a promotion, verified on a machine that has only Python."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from apps.audit.actions import System, record
from apps.audit.models import Action, AuditEvent
from apps.common.signing import public_pem
from apps.oversight.evidence import actions, storage
from apps.oversight.evidence.reconcile import make_evidence
from tests.catalog.samples import CARD, folder, ranges_body
from tests.database import owner_runs
from tests.oversight.evidence.packs import made, verify

pytestmark = pytest.mark.django_db


def asked(promotion, auditor):
    return actions.ask_for_promotion(promotion=promotion, actor=auditor, now=timezone.now())


@pytest.fixture
def pack(told, auditor):
    return asked(told.rollouts[0].promotion, auditor)


@pytest.fixture
def place(pack, told, unpacked):
    """The unpacked evidence of the first promotion."""
    return unpacked(made(pack, told.sources))


class TestEvidence:
    def test_is_verified_with_python_alone_and_says_what_proves_what(
        self, place, told, key, settings
    ):
        end, said = verify(place, key)
        assert end == 0, said
        version = told.rollouts[0].model_version.name
        assert said.startswith(f"{version} → production: ")
        for words in (
            "model/manifest.json is what the record names: version.published, Quartermaster",
            "model/manifest.json is what the record names: promotion.approved, Carol",
            "decisions/01-APPROVE/seen.json is what the record names: promotion.approved, Carol",
            "decisions/01-APPROVE/dossier.json is what the record names: promotion.approved",
            "binding.json is what the record names: promotion.requested, Alice",
            "policy.json is one that binding.json names",
            "byte for byte what was approved",
            "evaluation/report.json is what the record names: evaluation.recorded",
            "rollouts/01/commits/01-SERVE is commit",
            "model/manifest.json lists what a key that the pack brings",
            "rollouts/01/rollout.json",
            "not in the pack: change record (there is none of this promotion)",
        ):
            assert words in said, said
        other = told.rollouts[1].model_version.name
        assert all(other not in path.read_text(errors="replace") for path in _files(place))
        registry = place / "model/registry-keys.pem"
        assert "lists what your key" in verify(place, key, "--registry-key", str(registry))[1]
        assert verify(place, key, "--checkpoint", "record/checkpoint.txt")[0] == 0

    def test_holds_what_the_readme_lists_and_no_secret(self, place, settings):
        readme = (place / "README.md").read_text()
        index = json.loads((place / "contents.json").read_text())
        for one in index["files"]:
            many = "events/" in one["path"] or "/trees/" in one["path"]
            assert many or one["path"] == "README.md" or f"`{one['path']}`" in readme
        private = [
            settings.SECRET_KEY,
            *(key_text(path) for path in
              (settings.SIGNING_KEY_FILE, settings.AUDIT_SIGNING_KEY_FILE)),
        ]  # fmt: skip
        for path in _files(place):
            text = path.read_text(errors="replace")
            assert all(secret not in text for secret in private)

    def test_verifies_with_the_public_tool_of_model_signing_as_its_readme_says(
        self, place, tmp_path
    ):
        model = tmp_path / "MODEL"
        model.mkdir()
        contents = folder(README__md=CARD)
        for name, body in (contents | {"ranges.json": ranges_body(contents)}).items():
            (model / name).write_bytes(body)
        line = next(
            line for line in (place / "README.md").read_text().splitlines()
            if line.strip().startswith("model_signing verify")
        )  # fmt: skip
        words = line.split()[1:]
        words[words.index("MODEL")] = str(model)
        words[words.index("KEY.pem")] = "model/registry-keys.pem"
        tool = [sys.executable, "-m", "model_signing", *words]
        done = subprocess.run(tool, cwd=place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        (model / "config.json").write_bytes(b"{}")
        assert subprocess.run(tool, cwd=place, capture_output=True).returncode != 0

    def test_is_the_same_bytes_whenever_it_is_made(self, pack, told, auditor):
        first = made(pack, told.sources)
        told.keeper.turn(now=timezone.now() + timedelta(minutes=1))
        again = asked(pack.promotion, auditor)
        owner_runs(
            f"UPDATE oversight_evidencepack SET checkpoint_size = {pack.checkpoint_size} "  # noqa: S608
            f"WHERE id = '{again.pk}'"
        )
        assert made(again, told.sources) == first
        assert again.object_key != pack.object_key


def key_text(path):
    with open(path) as file:
        return "".join(file.read().splitlines()[1:-1])


def _files(place):
    return [path for path in place.rglob("*") if path.is_file()]


def flip(path):
    """Change one byte of a file, in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def reindexed(place):
    """Do what a forger does: write the index anew over what lies there."""
    index = json.loads((place / "contents.json").read_text())
    for one in index["files"]:
        path = place / one["path"]
        one["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
    index["files"] = [one for one in index["files"] if one["sha256"]]
    (place / "contents.json").write_text(json.dumps(index))


FORGED = {
    "decisions/01-APPROVE/dossier.json": "is not what the record names (promotion.approved",
    "binding.json": "is not what the record names (promotion.requested",
    "decisions/01-APPROVE/seen.json": "is not what the record names (promotion.approved",
    "evaluation/report.json": "is not what the record names (evaluation.recorded",
    "rollouts/01/commits/01-SERVE/commit": "is not the commit of the record",
}


class TestTampering:
    def test_with_any_kind_of_file_is_found_and_named(self, place, key, tmp_path):
        (event,) = place.glob("events/*promotion.approved.tlog-proof")
        written = next(place.glob("rollouts/01/commits/01-SERVE/files/**/*.yaml"))
        (tree, *_) = place.glob("rollouts/01/commits/01-SERVE/trees/*")
        for path in (event, written, tree, place / "model/model.sig", place / "README.md"):
            name = path.relative_to(place).as_posix()
            before = path.read_bytes()
            flip(path)
            assert verify(place, key) == (1, f"WRONG: {name} was changed.\n")
            path.write_bytes(before)
        (place / "more.txt").write_text("x")
        assert verify(place, key) == (1, "WRONG: more.txt was added.\n")
        (place / "more.txt").unlink()
        (place / "proposal.json").rename(tmp_path / "proposal.json")
        assert verify(place, key) == (1, "WRONG: proposal.json is missing.\n")

    def test_and_writing_the_index_anew_is_found_by_the_record(self, place, key, tmp_path):
        for name, words in FORGED.items():
            forged = tmp_path / "forged"
            shutil.copytree(place, forged)
            path = forged / name
            path.write_bytes(path.read_bytes().replace(b"e", b"a", 1))
            reindexed(forged)
            end, said = verify(forged, key)
            assert (end, words in said) == (1, True), said
            shutil.rmtree(forged)

    def test_with_a_committed_file_and_the_index_is_found_by_the_commit(self, place, key):
        written = next(place.glob("rollouts/01/commits/01-SERVE/files/**/*.yaml"))
        flip(written)
        reindexed(place)
        end, said = verify(place, key)
        assert (end, "is not what the commit holds" in said) == (1, True), said

    def test_with_the_manifest_and_the_index_is_found_by_record_and_signature(self, place, key):
        path = place / "model/manifest.json"
        path.write_text(path.read_text().replace('"size":', '"size":1', 1))
        reindexed(place)
        end, said = verify(place, key)
        assert (end, "model/manifest.json is not what the record names" in said) == (1, True)

    def test_with_an_event_and_the_index_is_found_by_the_checkpoint(self, place, key):
        (event,) = place.glob("events/*promotion.approved.tlog-proof")
        lines = event.read_text().splitlines(keepends=True)
        entry = base64.b64decode(lines[1].split()[1]).replace(b"Carol", b"Carla")
        lines[1] = f"extra {base64.b64encode(entry).decode()}\n"
        event.write_text("".join(lines))
        reindexed(place)
        end, said = verify(place, key)
        assert (end, "does not lead from this event" in said) == (1, True), said

    def test_with_the_key_is_found_by_whoever_has_another(self, place, key, tmp_path):
        other = tmp_path / "other.pem"
        other.write_bytes(public_pem(ec.generate_private_key(ec.SECP256R1()).public_key()))
        end, said = verify(place, other)
        assert (end, "None of your keys signed" in said) == (1, True)
        end, said = verify(place, key, "--registry-key", str(other))
        assert (end, "does not have: was it revoked? Then" in said) == (1, True)


class TestMaking:
    def test_is_asked_for_once_and_recorded(self, told, auditor, enqueued):
        promotion = told.rollouts[0].promotion
        with enqueued() as sent:
            pack = asked(promotion, auditor)
            assert asked(promotion, auditor) == pack
        assert sent == [("oversight.make_evidence", {"pack_id": str(pack.pk)})]
        made(pack, told.sources)
        assert not make_evidence(pack=pack, sources=told.sources, now=timezone.now())
        events = AuditEvent.objects.about("EvidencePack", str(pack.pk)).order_by("id")
        assert [event.action for event in events] == ["evidence.requested", "evidence.made"]
        assert events[0].actor == "aisha"
        assert events[1].data["sha256"] == pack.sha256
        kept = told.sources.archive.head(pack.object_key)
        assert kept.locked_until >= storage.kept_until(pack.asked_at) - timedelta(seconds=1)

    def test_waits_for_a_checkpoint_over_what_happened_last(self, told, auditor):
        rollout = told.rollouts[0]
        judged = Action.ROLLOUT_JUDGED
        record(action=judged, actor=System("x"), target=rollout, now=timezone.now())
        pack = asked(rollout.promotion, auditor)
        assert make_evidence(pack=pack, sources=told.sources, now=timezone.now())
        pack.refresh_from_db()
        assert (pack.status, pack.reason, pack.checkpoint_size) == ("WAITING", "WAITING", None)
        assert "not under an anchored checkpoint yet" in pack.message
        told.keeper.turn(now=timezone.now())
        assert make_evidence(pack=pack, sources=told.sources, now=pack.next_check_at)
        pack.refresh_from_db()
        assert pack.status == "MADE"
        with storage.stored(told.sources.archive, pack) as file, zipfile.ZipFile(file) as zipped:
            assert any("rollout.judged" in name for name in zipped.namelist())

    def test_ends_where_the_record_lacks_what_it_is_proven_by(self, told, auditor):
        pack = asked(told.rollouts[0].promotion, auditor)
        owner_runs("SET CONSTRAINTS ALL IMMEDIATE")
        owner_runs("ALTER TABLE audit_auditseal DISABLE TRIGGER USER")
        owner_runs("DELETE FROM audit_auditseal WHERE sequence = 0")
        assert make_evidence(pack=pack, sources=told.sources, now=timezone.now())
        pack.refresh_from_db()
        assert (pack.status, pack.reason, pack.next_check_at) == ("FAILED", "RECORD", None)
        assert "Have it verified" in pack.message
