"""Two models' versions, promoted by the product's own actions: signed files in a real S3 server,
commits in a real Git repository, and a record that is sealed, signed and anchored.
"""

import subprocess
import uuid
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from apps.accounts.models import Role
from apps.audit.sealing.keeper import Keeper
from apps.catalog import reconcile as catalog
from apps.catalog.signers.actions import record_signer
from apps.common.signing import FileSigner, public_pem
from apps.evals import actions as evals
from apps.evals import report
from apps.evals.models import EvalRun
from apps.evals.scoring.scores import PacketScore
from apps.integrations.git.client import GitClient
from apps.integrations.s3.client import RegistryStore
from apps.oversight.evidence.sources import Sources
from apps.promotions import actions
from apps.promotions.models import Rollout
from tests.catalog.samples import CARD, folder, upload
from tests.evals.samples import answer
from tests.factories import TeamFactory, UserFactory
from tests.integrations import versitygw
from tests.promotions import factories
from tests.promotions.doubles import Cluster, drive
from tests.promotions.seeing import seen

WEIGHTS = folder(README__md=CARD)  # without a card nothing is proposed
KEEP = timedelta(days=3650)


@dataclass
class Told:
    """Two rollouts that are live, and where everything about them is."""

    rollouts: list[Rollout]
    sources: Sources
    keeper: Keeper


@dataclass
class Places:
    """Where the kept promotions are, outside of the database."""

    git: Path
    rollouts: list[str]

    def client(self):
        """Return a client of the repository with a mirror of its own."""
        remote = f"file://{self.git / 'gitops.git'}"
        return GitClient(remote=remote, branch="main", workdir=self.git / "work")

    def record_keeper(self):
        """Return who keeps the record, with this deployment's key, in a bucket of its own: what
        a test adds is taken back, but not in S3.
        """
        store = RegistryStore(bucket=f"evidence-{uuid.uuid4().hex}")
        versitygw.make_bucket(store)
        return Keeper(
            store=store,
            signer=FileSigner.load(settings.AUDIT_SIGNING_KEY_FILE),
            origin=settings.AUDIT_ORIGIN,
            every=timedelta(0),
            keep=KEEP,
        )


@pytest.fixture(scope="session")
def kept_promotions(keeper, s3_server, archive_bucket, tmp_path_factory):
    """Two promotions from upload to live, sealed and anchored, kept from test to test."""
    folder = tmp_path_factory.mktemp("promotions")
    keeper.keep("kept_promotions", lambda: _build(folder))


@pytest.fixture
def told(kept_promotions, keeper, db, store, archive):
    """The two promotions, for one test."""
    places = keeper.copy()
    rollouts = Rollout.objects.filter(pk__in=places.rollouts).order_by("started_at")
    sources = Sources(store, archive, places.client())
    loaded = rollouts.select_related("promotion", "model_version__registered_model")
    return Told(list(loaded), sources, places.record_keeper())


def _build(folder):
    remote = folder / uuid.uuid4().hex
    remote.mkdir()
    repository = str(remote / "gitops.git")
    subprocess.run(["git", "init", "--bare", "--quiet", "-b", "main", repository], check=True)
    places = Places(remote, [])
    team = TeamFactory(slug="ml-evidence")
    owner = UserFactory(username="alice", name="Alice", team=team, with_roles=[Role.MODEL_OWNER])
    reviewer = UserFactory(username="carol", name="Carol", with_roles=[Role.REVIEWER])
    git = places.client()
    with override_settings(ROLLOUT_HOLD_SECONDS=10, ROLLOUT_MINIMUM_CALLS=20):
        for _ in range(2):
            places.rollouts.append(str(_promoted(git, owner, reviewer).pk))
    places.record_keeper().turn(now=timezone.now())
    return places


def _promoted(git, owner, reviewer):
    store = RegistryStore(bucket=versitygw.BUCKET)
    version = upload(store, owner, WEIGHTS, now=timezone.now())
    signer = FileSigner.load(settings.SIGNING_KEY_FILE)
    record_signer(signer=signer, now=timezone.now())
    while version.status != "VERIFIED":
        catalog.reconcile_version(
            version=version,
            store=store,
            signer=lambda: signer,
            keys=lambda: [signer.public_key],
            now=version.next_check_at,
        )
        version.refresh_from_db()
    _evaluated(version)
    promotion = actions.request_promotion(
        version=version, requester=owner, justification="Better codes", now=timezone.now()
    )
    rollout = actions.approve_promotion(
        promotion=promotion,
        approver=reviewer,
        seen=seen(promotion, timezone.now()),
        reason="Good",
        now=timezone.now(),
    )
    drive(rollout, git, Cluster(git), now=timezone.now(), turns=5)
    assert rollout.status == "LIVE"
    return rollout


def _evaluated(version):
    run = EvalRun.objects.create(
        suite=factories.suite(),
        model_version=version,
        status="RUNNING",
        requested_by=version.created_by,
        requested_at=timezone.now(),
        engine="vllm 0.32.0",
    )
    score = PacketScore(
        expected=("E11.9",), predicted=("E11.9",), grounded=1, ttft_ms=412.5, latency_ms=900.25,
        output_tokens=12,
    )  # fmt: skip
    for packet in ("packet-01", "packet-02"):
        answer(run, packet, score)
    evals.record_eval_run(run=run, cost=None, now=timezone.now())
    evals.record_report_stored(run=run, key=report.key_of(run), now=timezone.now())


@pytest.fixture
def unpacked(tmp_path):
    """Unpack a zip into a folder of its own; return the folder."""

    def unpack(content, name="pack"):
        (tmp_path / f"{name}.zip").write_bytes(content)
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            archive.extractall(tmp_path / name)
        return tmp_path / name

    return unpack


@pytest.fixture
def auditor(db):
    return UserFactory(username="aisha", name="Aisha Rahman", with_roles=[Role.AUDITOR])


@pytest.fixture
def key(tmp_path):
    """The record's public key, as an auditor was given it."""
    path = tmp_path / "given.pem"
    path.write_bytes(public_pem(FileSigner.load(settings.AUDIT_SIGNING_KEY_FILE).public_key))
    return path
