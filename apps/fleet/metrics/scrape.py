"""Scrapes engines and GPU exporters and writes their minutes. One step, some seconds apart, by one
leader.

Targets follow from the observer's rows: each ready replica's engine, by its address in the cluster.
Threads only read and parse, a bounded number at once and each for a few seconds; this process's
main thread writes. A target that does not answer is shown as such and keeps nobody waiting. With a
Prometheus-compatible server the same points are asked of it, and everything after that is the same.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.conf import settings
from django.utils import timezone

from apps.fleet.metrics import actions, rollup, signals, starts
from apps.fleet.metrics.models import ReplicaSample, ScrapeTarget, UtilizationSample
from apps.fleet.metrics.rollup import Minute, minute_of
from apps.fleet.metrics.signals import EngineReading, GpuReading
from apps.fleet.models import Node, Replica
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.kubernetes.client import client_from_settings
from apps.integrations.kubernetes.types import Kind
from apps.integrations.prometheus.client import (
    ExporterClient,
    PrometheusClient,
    exporters_from_settings,
    prometheus_from_settings,
)
from apps.integrations.prometheus.types import Point

ENGINE_METRICS = (*signals.ENGINE_METRICS, starts.CACHE_INFO)
AT_ONCE = 8
FIND_EVERY = timedelta(minutes=1)  # how often the exporters' pods are looked up
PRUNE_EVERY = timedelta(hours=1)
NO_EXPORTER = "No GPU exporter was found: see DCGM_POD_LABELS or DCGM_URL."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What is read next. replica: its row's key, for engines; node_name: where a GPU exporter runs,
    if known.

    ready_at: since when an engine takes calls.
    """

    kind: ScrapeTarget.Kind
    name: str
    url: str = ""
    replica: int | None = None
    node_name: str = ""
    ready_at: datetime | None = None
    error: str = ""  # known before anything was read


@dataclass(frozen=True)
class Answer:
    """What a target said, when; error: why it said nothing."""

    target: Target
    at: datetime
    points: Sequence[Point] = ()
    error: str = ""


class Source(Protocol):
    """Where points come from."""

    def read(self, engines: Sequence[Target]) -> list[Answer]:
        """Return an answer for each engine, and for each GPU exporter there is. Never fails."""


class Scraper:
    """One term of leadership. Call `step` again and again."""

    def __init__(self, source: Source, *, clock: Callable[[], datetime] = timezone.now) -> None:
        self._source, self._clock = source, clock
        self._last: dict[int, EngineReading] = {}
        self._told: set[int] = set()  # replicas whose engine said how large its cache is
        self._minutes: dict[int, Minute] = {}
        self._gpus: dict[tuple[str, str, str], tuple[datetime, list[GpuReading]]] = {}
        self._targets = {(row.kind, row.name): row for row in ScrapeTarget.objects.all()}
        self._stepped_at: datetime | None = None
        self._first = minute_of(clock())
        self._pruned_at = datetime.min.replace(tzinfo=self._first.tzinfo)
        # A row of the minute under way was made by the term before, from more scrapes than this one
        # will have.
        self._taken = set(
            ReplicaSample.objects.filter(minute=self._first).values_list("replica_id", flat=True)
        )
        self._taken_gpus = set(
            UtilizationSample.objects.filter(minute=self._first).values_list("device", flat=True)
        )

    def step(self) -> int:
        """Read every target once and write what it said; return how many answered."""
        replicas = Replica.objects.present().filter(is_ready=True).exclude(address="")
        engines = [
            Target(
                ScrapeTarget.Kind.ENGINE,
                f"{row.namespace}/{row.name}",
                f"http://{row.address}/metrics",
                replica=row.pk,
                ready_at=row.ready_at,
            )
            for row in replicas.only("namespace", "name", "address", "ready_at")
        ]
        begun = self._clock()
        answers = self._source.read(engines)
        self._take_engines(
            [each for each in answers if each.target.kind == ScrapeTarget.Kind.ENGINE]
        )
        self._take_gpus(
            [
                each
                for each in answers
                if each.target.kind == ScrapeTarget.Kind.GPU and not each.error
            ]
        )
        self._note([each for each in answers if each.error])
        asked = {(each.target.kind, each.target.name) for each in answers}
        actions.record_targets(targets=[self._targets[key] for key in asked])
        self._prune()
        self._stepped_at = begun
        return sum(not each.error for each in answers)

    def _take_engines(self, answers: Sequence[Answer]) -> None:
        rows: dict[tuple[int, datetime], dict[str, Any]] = {}
        caches: dict[int, starts.Cache] = {}
        for answer in answers:
            key = answer.target.replica
            if key is None or answer.error:
                continue
            if key not in self._told and (cache := starts.cache_of(answer.points)):
                caches[key] = cache
            reading = signals.engine_reading(answer.points, answer.at)
            counted = signals.counted(
                self._last.get(key) or self._unborn(answer.target, reading), reading
            )
            self._last[key] = reading
            minute = self._minute(key, minute_of(answer.at))
            minute.add(reading, counted)
            if minute.start != self._first or key not in self._taken:
                rows[key, minute.start] = rollup.replica_values(minute)
            self._seen(answer, active=rollup.is_active(reading, counted))
        present = {answer.target.replica for answer in answers}
        self._last = {key: reading for key, reading in self._last.items() if key in present}
        self._minutes = {key: minute for key, minute in self._minutes.items() if key in present}
        actions.record_replica_samples(minutes=rows)
        self._told |= starts.record_starts(caches, self._clock())
        self._told = {key for key in self._told if key in present}

    def _unborn(self, target: Target, reading: EngineReading) -> EngineReading | None:
        """Return what an engine counted before it took calls, if that began since the last step:
        nothing.

        Without it the first calls of each cold start would be missing, and short-lived candidates
        altogether.
        """
        if (
            target.ready_at is None
            or self._stepped_at is None
            or target.ready_at < self._stepped_at
        ):
            return None
        return signals.unborn(reading, target.ready_at)

    def _minute(self, key: int, start: datetime) -> Minute:
        found = self._minutes.get(key)
        if found is None or found.start != start:
            found = self._minutes[key] = Minute(start)
        return found

    def _take_gpus(self, answers: Sequence[Answer]) -> None:
        readings: dict[tuple[str, str, str], tuple[datetime, GpuReading]] = {}
        for answer in answers:
            for reading in signals.gpu_readings(answer.points, node_name=answer.target.node_name):
                readings[reading.uuid, reading.instance_id, reading.profile] = (answer.at, reading)
            self._seen(answer, active=False)
        keys = actions.record_devices(
            readings=[reading for _, reading in readings.values()], now=self._clock()
        )
        rows: dict[tuple[int, datetime], dict[str, Any]] = {}
        kept: dict[tuple[str, str, str], tuple[datetime, list[GpuReading]]] = {}
        for identity, (at, reading) in readings.items():
            start = minute_of(at)
            before = self._gpus.get(identity)
            kept[identity] = (
                start,
                [*(before[1] if before and before[0] == start else []), reading],
            )
            if start != self._first or keys[identity] not in self._taken_gpus:
                rows[keys[identity], start] = rollup.gpu_values(kept[identity][1])
        self._gpus = kept
        actions.record_utilization(minutes=rows)

    def _seen(self, answer: Answer, *, active: bool) -> None:
        row = self._row(answer)
        row.seen_at, row.error = answer.at, ""
        row.observed_from = row.observed_from or answer.at
        row.active_at = answer.at if active else row.active_at

    def _note(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            row = self._row(answer)
            if row.error != answer.error:
                log.warning("%s is not measured: %s", answer.target.name, answer.error)
            row.error = answer.error[:300]

    def _row(self, answer: Answer) -> ScrapeTarget:
        target = answer.target
        row = self._targets.get((target.kind, target.name))
        if row is None or row.replica_id != target.replica:
            row = self._targets[target.kind, target.name] = ScrapeTarget(
                kind=target.kind, name=target.name
            )
            row.replica_id = target.replica
        row.tried_at = answer.at
        return row

    def _prune(self) -> None:
        now = self._clock()
        if now - self._pruned_at >= PRUNE_EVERY:
            before = now - timedelta(days=settings.METRICS_RETENTION_DAYS)
            actions.prune_metrics(before=before)
            self._targets = {
                key: row for key, row in self._targets.items() if row.tried_at >= before
            }
            self._pruned_at = now


@dataclass
class Endpoints:
    """Scrapes each engine and exporter itself. direct: for DCGM_URL, which is no address inside the
    cluster.
    """

    pods: ExporterClient
    direct: ExporterClient
    find_exporters: Callable[[], list[Target]]
    clock: Callable[[], datetime] = timezone.now
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "scrape"))
    _exporters: list[Target] = field(default_factory=list)
    _found_at: datetime | None = None

    def read(self, engines: Sequence[Target]) -> list[Answer]:
        """Return an answer for each engine, and for each GPU exporter there is."""
        return list(self._pool.map(self._ask, [*engines, *self._gpu_targets()]))

    def _gpu_targets(self) -> list[Target]:
        """Return the exporters; found anew each minute, and none while there is no GPU."""
        if not Node.objects.present().with_gpus().exists():
            return []
        now = self.clock()
        if self._found_at is None or now - self._found_at >= FIND_EVERY:
            self._exporters, self._found_at = self.find_exporters(), now
        return self._exporters

    def _ask(self, target: Target) -> Answer:
        if target.error:
            return Answer(target, self.clock(), error=target.error)
        is_engine = target.kind == ScrapeTarget.Kind.ENGINE
        client = self.direct if not is_engine and not target.node_name else self.pods
        names = ENGINE_METRICS if is_engine else signals.GPU_METRICS
        try:
            points = client.read(target.url, names)
        except (TemporaryError, PermanentError) as error:
            return Answer(target, self.clock(), error=str(error))
        missing = "" if points else "The endpoint has none of the expected metrics."
        return Answer(target, self.clock(), points, error=missing)


@dataclass
class Server:
    """Asks a Prometheus-compatible server for the newest points of all engines and GPUs: two
    queries.
    """

    prometheus: PrometheusClient
    clock: Callable[[], datetime] = timezone.now

    def read(self, engines: Sequence[Target]) -> list[Answer]:
        """Return an answer for each engine, and one for all GPUs."""
        gpus = Target(ScrapeTarget.Kind.GPU, "Prometheus")
        found = (
            [self._ask(gpus, selector(signals.GPU_METRICS))]
            if Node.objects.present().with_gpus().exists()
            else []
        )
        if not engines:
            return found
        whole = self._ask(engines[0], selector(ENGINE_METRICS))
        by_pod: dict[str, list[Point]] = {}
        for point in whole.points:
            labels = point.labels
            holder = "exported_" if "exported_pod" in labels else ""
            pod = f"{labels.get(f'{holder}namespace', '')}/{labels.get(f'{holder}pod', '')}"
            by_pod.setdefault(pod, []).append(point)
        missing = whole.error or "Prometheus has no series of this pod."
        for engine in engines:
            points = by_pod.get(engine.name, [])
            found.append(Answer(engine, whole.at, points, error="" if points else missing))
        return found

    def _ask(self, target: Target, promql: str) -> Answer:
        try:
            points = self.prometheus.query(promql)
        except (TemporaryError, PermanentError) as error:
            return Answer(target, self.clock(), error=str(error))
        return Answer(
            target, self.clock(), points, error="" if points else "Prometheus has no such series."
        )


def selector(names: Sequence[str]) -> str:
    """Return the query for the newest value of each series of these metrics; of histograms, the
    buckets.
    """
    series = [
        f"{name}_bucket" if name == signals.TTFT else name
        for name in names
        if name != signals.STARTED
    ]
    return '{__name__=~"' + "|".join(series) + '"}'


def find_exporters() -> list[Target]:
    """Return the GPU exporters: DCGM_URL, or the exporter's pods by their label, one per node.
    Never fails.
    """
    if settings.DCGM_URL:
        return [Target(ScrapeTarget.Kind.GPU, "DCGM exporter", f"{settings.DCGM_URL}/metrics")]
    whole = Target(ScrapeTarget.Kind.GPU, "DCGM exporters")
    labels = dict(pair.split("=", 1) for pair in settings.DCGM_POD_LABELS.split(",") if "=" in pair)
    try:
        pods = client_from_settings().list(Kind.POD, labels=labels)
    except (TemporaryError, PermanentError) as error:
        return [Target(whole.kind, whole.name, error=str(error))]
    found = []
    for pod in pods:
        ip, node = (
            (pod.get("status") or {}).get("podIP"),
            (pod.get("spec") or {}).get("nodeName", ""),
        )
        if ip and node and "deletionTimestamp" not in (pod.get("metadata") or {}):
            url = f"http://{ip}:{settings.DCGM_PORT}/metrics"
            found.append(
                Target(ScrapeTarget.Kind.GPU, f"DCGM exporter on {node}", url, node_name=node)
            )
    return found or [Target(whole.kind, whole.name, error=NO_EXPORTER)]


def source_from_settings() -> Source:
    """Return where this deployment's metrics come from."""
    prometheus = prometheus_from_settings()
    if prometheus is not None:
        return Server(prometheus)
    return Endpoints(exporters_from_settings(), ExporterClient(), find_exporters)
