"""A cluster whose answers the test sets, and turns of the reconciler against a real Git
repository.
"""

import io
import subprocess
import tarfile
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import yaml

from apps.audit.models import AuditEvent
from apps.integrations.errors import TemporaryError
from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    Condition,
    ContainerStatus,
    Loaded,
    NodeClaimStatus,
    PodStatus,
    ResourceStatus,
    RouteStatus,
    ServingStatus,
)
from apps.promotions import actions
from apps.promotions.models import Rollout
from apps.promotions.rollouts.reconcile import reconcile_rollout
from tests.commit_times import commits_at
from tests.factories import NOW
from tests.promotions import factories
from tests.promotions.seeing import seen


@cache
def _objects(text):
    """Most files stay the same from commit to commit. Nobody changes what is read from them."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))  # noqa: S506 (safe: in C)


class Cluster:
    """Applies what Git holds as Argo CD, KServe and the gateway would: at once, unless told
    otherwise.
    """

    def __init__(self, git):
        self.git, self.away, self.ready, self.exit_code, self.message = git, False, True, 0, ""
        self.accepting = True
        self.refusing = ""  # what the API server says to everything that Argo CD applies
        self.gave_up, self.said = "", ""  # the revision that Argo CD tried to no avail
        self.changed = {}  # version → what somebody changed by hand in its replicas
        self.broken = set()  # the names of versions that are not ready, whatever `ready` says
        self._read, self._objects = None, {}  # what Git holds at the commit that was read last

    def is_ready(self, name):
        return self.ready and name not in self.broken

    def _head(self):
        """The branch's newest commit; from the file itself, for it is asked hundreds of times."""
        branch = Path(self.git.remote.removeprefix("file://")) / "refs" / "heads" / "main"
        return branch.read_text().strip() if branch.exists() else None

    def _files(self):
        if self.away:
            raise TemporaryError("The cluster cannot be reached.")
        head = self._head()
        if head != self._read:
            texts = self._texts(head) if head else ()
            self._objects = {path: _objects(text) for path, text in texts}
            self._read = head
        return self._objects

    def _texts(self, head):
        """Every file with its path, read at once: each call of Git costs a process."""
        folder = self.git.remote.removeprefix("file://")
        packed = subprocess.run(
            ["git", "--git-dir", folder, "archive", head], check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for file in archive:
                if file.isfile() and file.name.startswith("serving/"):
                    yield file.name, archive.extractfile(file).read()

    def is_applied(self):
        """Argo CD tries a commit, and if that fails not again: only a newer one."""
        head = self._head()
        if self.refusing and head != self.gave_up:
            self.gave_up, self.said = head, self.refusing
        return head != self.gave_up

    def application_status(self, name, namespace):
        objects = [item for objects in self._files().values() for item in objects]
        if not self.is_applied():
            return self.failed_application(objects)
        resources = tuple(
            ResourceStatus(
                item["kind"], item["metadata"]["namespace"], item["metadata"]["name"], "Synced"
            )
            for item in objects
        )
        head = self._head()
        return ApplicationStatus(
            exists=True,
            sync="Synced",
            revision=head,
            operation_phase="Succeeded",
            finished_at=NOW,
            resources=resources,
        )

    def failed_application(self, objects):
        names = [
            (item["kind"], item["metadata"]["namespace"], item["metadata"]["name"])
            for item in objects
        ]
        resources = tuple(ResourceStatus(*where, "OutOfSync", self.said) for where in names)
        return ApplicationStatus(
            exists=True, sync="OutOfSync", revision=self.gave_up, operation_phase="Failed",
            operation_revision=self.gave_up, resources=resources,
        )  # fmt: skip

    def serving_status(self, name, namespace, known_claims=()):
        found = [
            item
            for objects in self._files().values()
            for item in objects
            if (item["kind"], item["metadata"]["name"]) == ("InferenceService", name)
        ]
        if not found or not self.is_applied():
            return ServingStatus(exists=False)
        service = found[0]
        digest = service["metadata"]["annotations"]["quartermaster.dev/manifest-digest"]
        ready = self.is_ready(name)
        init = ContainerStatus(
            state="terminated",
            exit_code=self.exit_code,
            message=self.message,
            finished_at=NOW + timedelta(seconds=20),
        )
        engine = ContainerStatus(
            state="running" if ready else "waiting", started_at=NOW + timedelta(seconds=21)
        )
        pod = PodStatus(
            name="p",
            node="node-1",
            conditions={
                "PodScheduled": Condition("PodScheduled", "True", at=NOW + timedelta(seconds=10)),
                "Ready": Condition(
                    "Ready", str(self.is_ready(name)), at=NOW + timedelta(seconds=30)
                ),
            },
            initializer=init,
            engine_container=engine,
            manifest_digest=digest,
            loaded=Loaded(digest) if self.exit_code == 0 else None,
            engine="stand-in",
            **self._container(service),
        )
        pod = replace(pod, **self.changed.get(name, {}))
        claim = NodeClaimStatus("claim-1", "node-1", "g6.xlarge", "spot", "a", NOW, NOW, NOW, NOW)
        return ServingStatus(
            exists=True,
            ready=ready,
            ready_at=NOW + timedelta(seconds=30),
            manifest_digest=digest,
            pods=(pod,),
            node_claim=claim,
        )

    def _container(self, service):
        """As KServe puts it together: the runtime's, with the service's own words after it."""
        name, model = service["metadata"]["name"], service["spec"]["predictor"]["model"]
        (runtime,) = (
            item
            for objects in self._files().values()
            for item in objects
            if (item["kind"], item["metadata"]["name"]) == ("ServingRuntime", model["runtime"])
        )
        (engine,) = runtime["spec"]["containers"]
        words = [*engine["command"], *engine["args"], *model["args"]]
        said = tuple(word.replace("{{.Name}}", name) for word in words)
        limits = model["resources"]["limits"]
        return {"image": engine["image"], "arguments": said, "limits": limits}

    def replicas_status(self, name, namespace):
        return replace(self.serving_status(name, namespace), node_claim=None)

    def route_status(self, name, namespace):
        objects = self._files().get(f"serving/models/{name}/route.yaml")
        if not objects:
            return RouteStatus(exists=False, weights={})
        references = objects[0]["spec"]["rules"][0]["backendRefs"]
        accepted = Condition("Accepted", "True", at=NOW) if self.accepting else None
        return RouteStatus(
            exists=True,
            weights={item["name"]: item["weight"] for item in references},
            accepted=accepted,
        )


def approved(model, number, owner, reviewer, now=NOW, **chosen):
    """Return the rollout of a version that was proposed and approved."""
    version = factories.version(model, number)
    factories.run(version)
    return approved_version(version, owner, reviewer, now, **chosen)


def approved_version(version, owner, reviewer, now, **chosen):
    """Return the rollout of a version that passed, proposed and approved once more. It needs no
    calls to go on, unless that is chosen.
    """
    chosen = {"without_traffic": True} | chosen
    promotion = actions.request_promotion(
        version=version, requester=owner, justification="Better", now=now, **chosen
    )
    return actions.approve_promotion(
        promotion=promotion,
        approver=reviewer,
        seen=seen(promotion, now),
        reason="Good",
        now=now,
    )


def no_calls(model, since):
    return {}


def turn(rollout, git, cluster, now, calls=no_calls):
    """Reconcile once, as a worker does: from a row loaded anew."""
    row = Rollout.objects.get(pk=rollout.pk)
    with commits_at(now):
        reconcile_rollout(rollout=row, git=git, cluster=cluster, calls=calls, now=now)


def drive(
    rollout, git, cluster, now=NOW, turns=12, calls=no_calls, apart=timedelta(seconds=20)
):  # fmt: skip
    """Reconcile until it rests or `turns` are over, so much time apart, every run twice; return the
    time.
    """
    for _ in range(turns):
        now += apart
        turn(rollout, git, cluster, now, calls)
        turn(rollout, git, cluster, now, calls)
    rollout.refresh_from_db()
    return now


def subjects(remote):
    out = subprocess.run(
        ["git", "log", "--reverse", "--format=%s", "main"],
        cwd=remote,
        capture_output=True,
        text=True,
    )
    return out.stdout.splitlines()


def audited(rollout):
    rows = AuditEvent.objects.about("Rollout", str(rollout.pk)).order_by("occurred_at", "id")
    return sorted(rows.values_list("action", flat=True))
