"""The measurements of `make bench-reconcile`. Each returns its figures; a reference is measured in
the same run.
"""

import json
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import httpx
import psutil
from django.utils.timezone import now

from apps.accounts.models import Role
from apps.common.sign_ins import JUST_NOW
from apps.fleet.models import NodeClaim, Observation, Replica
from apps.fleet.observer import FEEDS
from apps.integrations.kubernetes.types import Kind
from apps.promotions import actions
from deploy.local.cluster import kubeconfigs, layout
from deploy.local.stack.part import Context, Part
from tests.benchmarks import fleet_objects as fleet
from tests.benchmarks.report import Result
from tests.factories import RegisteredModelFactory, UserFactory
from tests.local.running import running
from tests.promotions import factories
from tests.promotions.seeing import seen
from worker.celery import app

SERVICES, CLAIMS, PODS = 1000, 500, 2000
CHANGES, APPROVALS = 20, 5
QUIET_SECONDS = 30
TRICKLE, A_SECOND = 150, 10
PATIENCE_SECONDS = 120
PAGE = 250


def all_of_it(context: Context, env: dict[str, str]) -> list[Result]:
    """Write the fleet and return every figure."""
    with admin(context) as client:
        _fill(client)
        bare = _bare_list(client)
        print(f"a bare client lists it in {bare:.2f} s", flush=True)
        with observer(context, env) as process:
            cold, learned = _resync(process, _all_rows)
            highest = _memory(process)
            print(f"observed in {cold:.2f} s, {learned:.2f} s of it after its start", flush=True)
        with observer(context, env) as process:
            again, _ = _resync(process, _all_seen_since(now()))
            results = [
                Result(
                    "full resync, empty database", round(cold, 2), "s", 10, round(cold / bare, 1)
                ),
                Result(
                    "full resync, nothing new", round(again, 2), "s", 10, round(again / bare, 1)
                ),
                *_steady(process, client, highest),
                *_changes(client),
            ]
        return [*results, *_approvals(context, client)]


@contextmanager
def admin(context: Context) -> Iterator[httpx.Client]:
    """Open a client of the API server that may write."""
    pair = kubeconfigs.client_pair(context, "admin")
    trust = ssl.create_default_context(cafile=str(kubeconfigs.authority(context).pair.certificate))
    trust.load_cert_chain(str(pair.certificate), str(pair.key))
    with httpx.Client(
        base_url=layout.api_server(context), verify=trust, timeout=30, trust_env=False
    ) as client:
        yield client


@contextmanager
def observer(context: Context, env: dict[str, str]) -> Iterator[psutil.Process]:
    """Run the observer as a process of its own."""
    command = [context.python, "-m", "worker.processes", "observer"]
    with running(
        context, [Part("observer", command, "", lambda: None, env=env, cwd=context.root)]
    ) as started:
        yield psutil.Process(started["observer"].pid)


def _fill(client: httpx.Client) -> None:
    began = time.monotonic()
    fleet.write(client, Kind.INFERENCE_SERVICE, map(fleet.inference_service, range(SERVICES)))
    fleet.write(client, Kind.NODE_CLAIM, map(fleet.node_claim, range(CLAIMS)))
    fleet.write(client, Kind.POD, (fleet.pod(number, CLAIMS) for number in range(PODS)))
    print(
        f"wrote {SERVICES + CLAIMS + PODS} objects in {time.monotonic() - began:.0f} s", flush=True
    )


# -- Resync ----------------------------------------------------------------------------------------


def _bare_list(client: httpx.Client) -> float:
    """Return the seconds in which a plain client lists and parses what the observer lists."""
    began = time.monotonic()
    for feed in FEEDS:
        query = {"limit": str(PAGE)}
        while True:
            body = client.get(feed.kind.path(feed.namespace), params=query).json()
            if not body["metadata"].get("continue"):
                break
            query["continue"] = body["metadata"]["continue"]
    return time.monotonic() - began


def _resync(process: psutil.Process, is_done: Callable[[], bool]) -> tuple[float, float]:
    """Return the seconds since the process began, and since its first feed was seen, until
    everything is there.
    """
    first = _until(lambda: Replica.objects.exists() or NodeClaim.objects.exists())
    done = _until(is_done)
    return done - process.create_time(), done - first


def _all_rows() -> bool:
    return Replica.objects.count() == PODS and NodeClaim.objects.count() == CLAIMS


def _all_seen_since(moment: datetime) -> Callable[[], bool]:
    return lambda: Observation.objects.filter(seen_at__gt=moment, error="").count() == len(FEEDS)


def _until(is_true: Callable[[], bool], pause: float = 0.02) -> float:
    """Return when it became true, on the wall clock."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        if time.monotonic() > until:
            raise TimeoutError(f"did not come true in {PATIENCE_SECONDS} s: {is_true}")
        time.sleep(pause)
    return time.time()


def _memory(process: psutil.Process) -> float:
    """Return what a process holds, MiB."""
    return float(process.memory_info().rss / 2**20)


def _used(process: psutil.Process, during: Callable[[], None]) -> float:
    """Return what a process takes of a core meanwhile, %. The kernel counts in hundredths of a
    second.
    """
    before, began = process.cpu_times(), time.monotonic()
    during()
    after = process.cpu_times()
    used = after.user + after.system - before.user - before.system
    return round(100 * used / (time.monotonic() - began), 2)


def _steady(process: psutil.Process, client: httpx.Client, highest: float) -> list[Result]:
    """Return what the observer takes. highest: the memory it had after its first resync, MiB."""

    def trickle() -> None:
        for turn in range(TRICKLE):
            began = time.monotonic()
            fleet.restart(client, turn * 31 % PODS, 1)
            time.sleep(max(0.0, 1 / A_SECOND - (time.monotonic() - began)))

    quiet, busy = _used(process, lambda: time.sleep(QUIET_SECONDS)), _used(process, trickle)
    return [
        Result("observer, processor while quiet", quiet, "% of a core", 5),
        Result(f"observer, processor at {A_SECOND} changes a second", busy, "% of a core", 25),
        Result("observer, memory", round(max(_memory(process), highest)), "MiB", 250),
    ]


# -- A change --------------------------------------------------------------------------------------


class BareWatch:
    """What a plain client sees of the pods, and when: (pod, restarts) → wall-clock time."""

    def __init__(self, client: httpx.Client) -> None:
        self.seen: dict[tuple[str, int], float] = {}
        self._client, self._open = client, threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        self._open.wait(30)

    def _read(self) -> None:
        path = Kind.POD.path("models")
        version = self._client.get(path, params={"limit": "1"}).json()["metadata"][
            "resourceVersion"
        ]
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "60"}
        # The stream ends with the cluster, later than anybody waits for it.
        with (
            suppress(httpx.HTTPError),
            self._client.stream("GET", path, params=query, timeout=90) as response,
        ):
            self._open.set()
            for line in response.iter_lines():
                found = json.loads(line)["object"]
                for container in found["status"].get("containerStatuses", []):
                    self.seen.setdefault(
                        (found["metadata"]["name"], container["restartCount"]), time.time()
                    )


def _changes(client: httpx.Client) -> list[Result]:
    """Return how long a pod's change takes to its row, from the moment it is sent."""
    watch, rows, bare = BareWatch(client), [], []
    for turn in range(2, CHANGES + 2):  # once is what the trickle has said
        number = turn * 97 % PODS
        name, sent = fleet.pod_name(number), time.time()
        fleet.restart(client, number, turn)
        row = Replica.objects.filter(name=name, restarts=turn)
        rows.append(_until(row.exists, pause=0.004) - sent)
        _until(lambda key=(name, turn): key in watch.seen, pause=0.004)
        bare.append(watch.seen[name, turn] - sent)
        time.sleep(0.1)
    ratio = round(statistics.median(rows) / statistics.median(bare), 1)
    return [
        Result("change to row, median", round(statistics.median(rows), 3), "s", 1, ratio),
        Result(
            f"change to row, worst of {CHANGES}",
            round(max(rows), 3),
            "s",
            1,
            round(max(rows) / max(bare), 1),
        ),
    ]


# -- Approval → commit → Synced --------------------------------------------------------------------


def _approvals(context: Context, client: httpx.Client) -> list[Result]:
    """Return how long an approval takes to its commit, and the commit until Argo CD says Synced."""
    _until(lambda: bool(app.control.ping(timeout=1)))
    repository = layout.gitops_repository(context)
    _until(lambda: _synced(client, _head(repository)))
    bare = statistics.median(_bare_commit(repository, turn) for turn in range(3))
    commits, syncs = [], []
    for turn in range(APPROVALS):
        _until(lambda: _synced(client, _head(repository)))
        before = _head(repository)
        approved = _approve(turn)
        committed = _until(lambda before=before: _head(repository) != before, pause=0.004)
        commits.append(committed - approved)
        syncs.append(_until(lambda: _synced(client, _head(repository)), pause=0.02) - committed)
    return [
        Result("approval to commit, median", round(statistics.median(commits), 2), "s", 2,
               round(statistics.median(commits) / bare, 1)),
        Result(f"approval to commit, worst of {APPROVALS}", round(max(commits), 2), "s", 2),
        Result("commit to Synced, median", round(statistics.median(syncs), 2), "s", 3),
        Result(f"commit to Synced, worst of {APPROVALS}", round(max(syncs), 2), "s", 3),
    ]  # fmt: skip


def _approve(turn: int) -> float:
    """Propose a version of a new model and approve it; return when that was said."""
    owner = UserFactory(with_roles=[Role.MODEL_OWNER])
    reviewer = UserFactory(with_roles=[Role.REVIEWER])
    reviewer.sign_in = JUST_NOW
    model = RegisteredModelFactory(
        name=f"benchmark-{turn}", owner_team=owner.team, created_by=owner
    )
    version = factories.version(model, 1, created_by=owner)
    factories.run(version, at=now())
    promotion = actions.request_promotion(
        version=version, requester=owner, justification="Benchmark", now=now()
    )
    shown = seen(promotion, now())
    at = time.time()
    actions.approve_promotion(
        promotion=promotion, approver=reviewer, seen=shown, reason="Benchmark", now=now()
    )
    return at


def _head(repository: Path) -> str:
    return (repository / "refs" / "heads" / "main").read_text().strip()


def _synced(client: httpx.Client, sha: str) -> bool:
    answer = client.get(Kind.APPLICATION.path("argocd", "serving"))
    sync = answer.json().get("status", {}).get("sync", {})
    return bool(sync.get("status") == "Synced" and sync.get("revision") == sha)


def _bare_commit(repository: Path, turn: int) -> float:
    """Return the seconds that git alone takes to fetch, commit one file and push."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        _git(Path(folder), "clone", "--quiet", str(repository), str(work))
        (work / f"benchmark-{turn}.md").write_text("A reference.\n")
        began = time.monotonic()
        _git(work, "pull", "--quiet")
        _git(work, "add", ".")
        _git(
            work,
            "-c",
            "user.name=b",
            "-c",
            "user.email=b@localhost",
            "commit",
            "--quiet",
            "-m",
            "A reference",
        )
        _git(work, "push", "--quiet")
        return time.monotonic() - began


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
