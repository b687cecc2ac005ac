"""The run that is measured: it serves already, its engine is the stub, and nothing else is
asked.
"""

from django.utils.timezone import now

from apps.evals import reconcile
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.runs.surroundings import Surroundings
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_suite
from apps.evals.suites.queries import packets_of
from apps.integrations.engine.client import EngineClient
from tests.factories import ModelVersionFactory, RegisteredModelFactory

SUITE = "prior_auth_extraction"  # 200 packets of 1 to 40 pages


class World:
    """One run. subset: which of the suite's packets, "" for all."""

    def __init__(self, address: str, *, at_once: int, subset: str) -> None:
        self.address = address
        model = RegisteredModelFactory(name=f"bench-{at_once}")
        candidate, baseline = (
            ModelVersionFactory(registered_model=model, number=number) for number in (2, 1)
        )
        suite = ensure_suite(suite=shipped.load(SUITE), now=now(), judges=[EvalSuite.ANY])
        self.run = EvalRun.objects.create(
            suite=suite, model_version=candidate, baseline=baseline, status="RUNNING",
            subset=subset, packets_total=len(packets_of(suite, subset)), concurrency=at_once,
            requested_by=candidate.created_by, requested_at=now(), serving_at=now(),
            next_check_at=now(), engine="stub", baseline_engine="stub",
        )  # fmt: skip

    def carry_out(self) -> tuple[float, float]:
        """Ask everything and judge it; return the seconds until the last answer was kept, and those
        from then to the end.
        """
        begun = now()
        around = self._surroundings()
        while self.run.status == EvalRun.Status.RUNNING:
            EvalRun.objects.filter(pk=self.run.pk).update(next_check_at=now())
            reconcile.reconcile_eval_run(run=self.run, around=around, now=now())
            self.run.refresh_from_db()
        ended = now()
        if self.run.status == EvalRun.Status.ERROR:
            raise SystemExit(f"the run ended: {self.run.message}")
        last = self.run.packet_results.order_by("-answered_at").values_list(
            "answered_at", flat=True
        )[0]
        return (last - begun).total_seconds(), (ended - last).total_seconds()

    def _surroundings(self) -> Surroundings:
        """Return surroundings of which only the engine is there."""
        nothing = {
            "git": None, "cluster": None, "registry": None, "bucket": "", "image": "",
            "role_arn": "", "s3_endpoint": "", "application": "", "argocd_namespace": "",
            "start_seconds": 1800, "retention_days": 1,
        }  # fmt: skip
        return Surroundings(
            engine=lambda _: EngineClient(self.address), price=lambda _: None, **nothing
        )
