"""What a pack holds about one promotion: what was decided, over what, and what came of it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.catalog.models import ModelVersion
from apps.catalog.signers.models import Signer
from apps.catalog.signers.queries import signer_of
from apps.common.canonical import canonical, digest_of
from apps.common.model_manifest import MANIFEST_NAME, MIB, SIGNATURE_NAME
from apps.evals import report
from apps.evals.models import EvalReport, EvalRun
from apps.incidents.models import Episode
from apps.integrations.errors import PermanentError
from apps.integrations.git.client import GitClient
from apps.oversight.evidence.collecting import Collected
from apps.oversight.evidence.proofs import Targets
from apps.oversight.evidence.sources import Sources
from apps.promotions.binding.bound import files_of
from apps.promotions.dossier import dossier_of, runs_beside
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Approval, Promotion, Rollout, RolloutCommit
from apps.promotions.policy.models import PolicyRevision

REGISTRY_KEYS = "registry-keys.pem"
BINDING = "binding.json"


def targets_of(promotion: Promotion) -> Targets:
    """Return everything of the record that a promotion is made of."""
    found: list[tuple[str, object]] = [
        ("Promotion", promotion.pk),
        ("ModelVersion", promotion.model_version_id),
        ("EvalRun", promotion.eval_run_id),
        *(("Rollout", rollout.pk) for rollout in promotion.rollouts.all()),
        *(("ChangeRecord", change.pk) for change in promotion.changes.all()),
        *(("Episode", episode.pk) for episode in _episodes(promotion)),
        ("PolicyChange", promotion.policy_revision.change_id),
        *(("Emergency", each.pk) for each in Emergency.objects.filter(promotion=promotion)),
    ]
    return [*found, *(("EvalRun", run.pk) for run in runs_beside(promotion).values())]


def add_promotion(
    collected: Collected, promotion: Promotion, sources: Sources, base: str
) -> Iterator[str]:
    """Add everything about a promotion but its events, which are there already; yield what is
    worked on, in words, before each step. base: its folder in the pack, with a slash at its end.

    Raises TemporaryError where S3 or Git cannot be asked now.
    """
    yield f"Decisions about {promotion.model_version.name}"
    _add_proposal(collected, promotion, base)
    _add_binding(collected, promotion, base)
    _add_policy(collected, promotion.policy_revision, base)
    for number, approval in enumerate(promotion.approvals.select_related("approver"), start=1):
        _add_decision(collected, approval, f"{base}decisions/{number:02}-{approval.decision}/")
    for emergency in Emergency.objects.with_parts().filter(promotion=promotion):
        _add_emergency(collected, emergency, base)
    yield f"Manifest and signature of {promotion.model_version.name}"
    _add_model(collected, promotion.model_version, sources, f"{base}model/")
    yield f"Evaluation of {promotion.model_version.name}"
    _add_report(collected, promotion.eval_run, f"{base}evaluation/report.json")
    for slug, run in runs_beside(promotion).items():
        _add_report(collected, run, f"{base}evaluation/{slug}-report.json")
    yield f"Change of {promotion.model_version.name} in ServiceNow"
    _add_changes(collected, promotion, base)
    _add_episodes(collected, promotion, base)
    rollouts = promotion.rollouts.select_related("model_version__registered_model", "baseline")
    for number, rollout in enumerate(rollouts.order_by("started_at"), start=1):
        yield f"Rollout {number} of {promotion.model_version.name}"
        _add_rollout(collected, rollout, sources.git, f"{base}rollouts/{number:02}/")
    if not rollouts:
        collected.miss(f"rollout of {promotion}", "there was none")


def _add_proposal(collected: Collected, promotion: Promotion, base: str) -> None:
    facts = {
        "promotion": str(promotion.pk),
        "version": promotion.model_version.name,
        "baseline": promotion.baseline.name if promotion.baseline else None,
        "manifest_digest": promotion.manifest_digest,
        "evaluation": str(promotion.eval_run_id),
        "requested_by": promotion.requested_by.username,
        "requested_at": _moment(promotion.requested_at),
        "justification": promotion.justification,
        "serving_class": promotion.serving_class,
        "pre_warm": promotion.pre_warm,
        "serving_settings": promotion.settings.as_json(),
        "without_traffic": promotion.without_traffic,
        "status": promotion.status,
        "decided_at": _moment(promotion.decided_at),
    }
    collected.add_facts(f"{base}proposal.json", facts, "What was proposed, by whom, and why.")


def _add_binding(collected: Collected, promotion: Promotion, base: str) -> None:
    path = f"{base}{BINDING}"
    if not promotion.binding:
        collected.miss(path, "it was proposed before approvals bound every byte")
        return
    about = "What an approval is over: digests of everything, and of each file that a step writes."
    collected.add(path, canonical(promotion.binding), about)
    collected.prove(path, promotion.binding_digest)


def _add_policy(collected: Collected, revision: PolicyRevision, base: str) -> None:
    path = f"{base}policy.json"
    about = f"The rules under which it was proposed: {revision}."
    collected.add(path, canonical(revision.body), about)
    if f"{base}{BINDING}" in collected.about:
        claim = {"path": path, "as": "sha256", "listed_in": f"{base}{BINDING}"}
        collected.proven.append(claim)


def _add_emergency(collected: Collected, emergency: Emergency, base: str) -> None:
    facts = {
        "emergency": str(emergency.pk),
        "requested_by": emergency.requested_by.username,
        "requested_at": _moment(emergency.requested_at),
        "statement": emergency.statement,
        "skipped": emergency.skipped,
        "evidence": emergency.evidence,
        "review_due_at": _moment(emergency.review_due_at),
        "status": emergency.status,
        "decided_by": emergency.decided_by.username if emergency.decided_by else None,
        "decided_at": _moment(emergency.decided_at),
        "decision_reason": emergency.decision_reason,
    }
    words = "The emergency in which it was rolled forward, and its review."
    collected.add_facts(f"{base}emergency.json", facts, words)


def _add_decision(collected: Collected, approval: Approval, base: str) -> None:
    facts = {
        "decision": approval.decision,
        "by": approval.approver.username,
        "reason": approval.reason,
        "decided_at": _moment(approval.decided_at),
        "manifest_digest": approval.manifest_digest,
        "evaluation": str(approval.eval_run_id),
        "baseline": approval.baseline.name if approval.baseline else None,
        "binding": approval.binding_digest,
        "dossier": approval.dossier_digest,
        "voided_at": _moment(approval.voided_at),
        "voided_because": approval.void_reason,
    }
    collected.add_facts(f"{base}decision.json", facts, "One person's decision, and their reason.")
    dossier = dossier_of(approval.promotion, approval.dossier_digest)
    if approval.dossier_digest and dossier:
        about = "The dossier that was decided over; each of the rollout's commits names its digest."
        collected.add(f"{base}dossier.json", dossier, about)
        collected.prove(f"{base}dossier.json", approval.dossier_digest)
    if not approval.evidence:
        collected.miss(f"{base}seen.json", "what was seen was not kept with this decision")
        return
    path = f"{base}seen.json"
    about = "What was in front of that person: conditions, figures, settings, each step's diff."
    collected.add(path, canonical(approval.evidence), about)
    collected.prove(path, digest_of(approval.evidence))


def _add_model(collected: Collected, version: ModelVersion, sources: Sources, base: str) -> None:
    names = {name: f"{base}{name}" for name in (MANIFEST_NAME, SIGNATURE_NAME)}
    about = {
        MANIFEST_NAME: "Every file of the version, with its size and digest.",
        SIGNATURE_NAME: "The signature of these files (OpenSSF Model Signing).",
    }
    for name, path in names.items():
        try:
            content = sources.registry.read_small(version.prefix + name, limit=MIB)
        except PermanentError as error:
            collected.miss(path, str(error))
            return
        collected.add(path, content, about[name])
    collected.prove(names[MANIFEST_NAME], version.manifest_digest, "manifest")
    keys, signer = f"{base}{REGISTRY_KEYS}", signer_of(version.signer)
    if signer is None:
        collected.miss(keys, f"the public key of {version.signer} is not known to the portal")
        return
    collected.add_ours(keys, signer.public_key.encode(), _key_words(signer))
    signed = {"manifest": names[MANIFEST_NAME], "signature": names[SIGNATURE_NAME], "keys": keys}
    collected.models.append(signed)


def _key_words(signer: Signer) -> str:
    """Return what a pack says of the key that signed a version."""
    words = "The public key that signed it, as the portal has it: compare it with yours."
    if signer.revoked_at is None:
        return words
    return f"{words} It was revoked on {signer.revoked_at:%d %b %Y}: see the record."


def _add_report(collected: Collected, run: EvalRun, path: str) -> None:
    """Add a run's report, of candidate and baseline: the bytes that the registry has too."""
    if not run.report_digest:
        collected.miss(path, "the run has no result")
        return
    try:
        content = report.content(run)
    except EvalReport.DoesNotExist:
        collected.miss(path, "the report of so early a run was not kept")
        return
    about = f"The report of the evaluation of {run.model_version}, on synthetic packets."
    collected.add(path, content, about)
    collected.prove(path, run.report_digest)


def _add_changes(collected: Collected, promotion: Promotion, base: str) -> None:
    changes = [
        {
            "number": change.number,
            "kind": change.kind,
            "correlation_id": change.correlation_id,
            "written": change.fields,
            "state": change.state_words or change.state,
            "approval": change.approval_words or change.approval,
            "approvers": change.approvers,
            "starts_at": _moment(change.starts_at),
            "ends_at": _moment(change.ends_at),
            "conflicts": change.conflicts,
            "differences": change.differences,
            "read_at": _moment(change.read_at),
            "outcome": change.outcome,
            "outcome_notes": change.outcome_notes,
            "closed_at": _moment(change.closed_at),
        }
        for change in promotion.changes.all()
    ]
    if not changes:
        collected.miss("change record", "there is none of this promotion")
        return
    about = "The change in ServiceNow: what was written, and what was read there last."
    collected.add_facts(f"{base}changes.json", changes, about)


def _episodes(promotion: Promotion) -> QuerySet[Episode]:
    return Episode.objects.filter(rollout__promotion=promotion).order_by("opened_at", "pk")


def _add_episodes(collected: Collected, promotion: Promotion, base: str) -> None:
    facts = [
        {
            "kind": episode.kind,
            "status": episode.status,
            "words": episode.words,
            "opened_at": _moment(episode.opened_at),
            "closed_at": _moment(episode.closed_at),
            "incident": episode.number,
        }
        for episode in _episodes(promotion)
    ]
    if facts:
        about = "What went wrong with what it rolled out, and its incidents in ServiceNow."
        collected.add_facts(f"{base}incidents.json", facts, about)


def _add_rollout(collected: Collected, rollout: Rollout, git: GitClient, base: str) -> None:
    commits = list(rollout.commits.select_related("gate__decided_by"))
    facts = {
        "rollout": str(rollout.pk),
        "version": rollout.model_version.name,
        "baseline": rollout.baseline.name if rollout.baseline else None,
        "status": rollout.status,
        "steps": rollout.steps,
        "weight": rollout.weight,
        "engine": rollout.engine,
        "instance_type": rollout.instance_type,
        "started_at": _moment(rollout.started_at),
        "finished_at": _moment(rollout.finished_at),
        "went_back_because": rollout.return_message,
        "checks": rollout.checks,
        "differences": rollout.differences,
        "drifted_at": _moment(rollout.drifted_at),
        "phases": [
            {
                "phase": phase.phase,
                "reached_at": _moment(phase.reached_at),
                "detail": phase.detail,
            }
            for phase in rollout.phases.order_by("reached_at", "phase")
        ],
        "commits": [_step(commit) for commit in commits],
    }
    about = "How the rollout went: phases, steps, and what was measured at each weight."
    collected.add_facts(f"{base}rollout.json", facts, about)
    for number, commit in enumerate(commits, start=1):
        bound = None
        if rollout.rolls_back_id is None:  # a rollback commits what another approval was over
            bound = files_of(rollout.promotion.binding, commit.step)
        folder = f"{base}commits/{number:02}-{commit.step}"
        _add_commit(collected, commit, git, folder, bound)


def _step(commit: RolloutCommit) -> dict[str, Any]:
    gate = getattr(commit, "gate", None)
    return {
        "step": commit.step,
        "attempt": commit.attempt,
        "commit": commit.sha,
        "committed_at": _moment(commit.committed_at),
        "observed_at": _moment(commit.observed_at),
        "lost_at": _moment(commit.lost_at),
        "gate": {
            "verdict": gate.verdict,
            "judged_at": _moment(gate.judged_at),
            "candidate": gate.candidate,
            "baseline": gate.baseline,
            "words": gate.words,
            "decided_by": gate.decided_by.username if gate.decided_by else None,
            "reason": gate.reason,
        }
        if gate
        else None,
    }


def _add_commit(
    collected: Collected,
    commit: RolloutCommit,
    git: GitClient,
    folder: str,
    bound: Mapping[str, str | None] | None,
) -> None:
    """Add a commit with its files, and what it takes to see that they are the commit's. bound: the
    digests that an approval is over, by path; None where it says nothing of this step.
    """
    try:
        found = git.objects(commit.sha, also=bound or ())
    except PermanentError as error:
        collected.miss(folder, str(error))
        return
    collected.add(f"{folder}/commit", found.raw, "The commit, as Git keeps it.")
    for tree, raw in found.trees.items():
        collected.add(f"{folder}/trees/{tree}", raw, "A folder of the commit, as Git keeps it.")
    for path, content in found.files.items():
        if content is not None:
            collected.add(f"{folder}/files/{path}", content, f"{path}, as the commit wrote it.")
    collected.add(f"{folder}/change.diff", found.diff, "What the commit changed, for people.")
    facts: dict[str, object] = {"folder": folder, "files": sorted(found.files)}
    if bound is not None:
        base = folder.partition("rollouts/")[0]
        facts |= {"binding": f"{base}{BINDING}", "step": commit.step}
    for event, name in collected.naming(commit.sha):
        collected.commits.append(facts | {"event": event.path, "field": f"data.{name}"})


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
