"""The list of a model's versions as a table: declarations, and what one line says."""

from dataclasses import dataclass
from datetime import date

from django.template.defaultfilters import truncatechars
from django.urls import reverse

from apps.catalog import pages
from apps.catalog.models import ModelVersion
from apps.common.badges import Badge
from apps.common.periods import day_of
from apps.common.simulated import marked
from apps.common.tables.columns import Column, Table
from apps.evals import pages as evals
from apps.evals.models import EvalRun
from apps.promotions.serving import ServingState
from portal.tags import filesize_short

NOTE_LENGTH = 80


@dataclass(frozen=True)
class VersionLine:
    """A version, what it does in production, and its newest run. version: with_sizes()."""

    version: ModelVersion
    stage: ServingState
    run: EvalRun | None

    @property
    def url(self) -> str:
        """Return the address of the version's page."""
        version = self.version
        return reverse(
            "catalog:version_detail", args=[version.registered_model.name, version.number]
        )

    @property
    def files(self) -> Badge:
        """Return how far its files are on their way to being usable."""
        return pages.version_badge(self.version)

    @property
    def size(self) -> str:
        """Return the size of its files as people read it."""
        return filesize_short(self.version.total_bytes)  # type: ignore[attr-defined]

    @property
    def note(self) -> str:
        """Return what changed, in the owner's words, cut to a line."""
        return truncatechars(self.version.note, NOTE_LENGTH)

    @property
    def run_badge(self) -> Badge | None:
        """Return what came of its newest run; None without one."""
        return evals.run_badge(self.run) if self.run else None

    @property
    def run_url(self) -> str:
        """Return the address of its newest run; "" without one."""
        return reverse("evals:run_detail", args=[self.run.pk]) if self.run else ""

    @property
    def f1(self) -> str:
        """Return its F1, marked where the stand-in answered; "" without a figure."""
        value = self.run.metrics.get("f1") if self.run else None
        if self.run is None or value is None:
            return ""
        return marked(f"F1 {evals.figure('f1', value)}", evals.is_stand_in(self.run))

    @property
    def digest(self) -> str:
        """Return the first figures of its manifest's digest, as people compare them."""
        digest = self.version.manifest_digest
        return f"{digest[7:19]}…" if digest else ""

    @property
    def locked_until(self) -> date | None:
        """Return the day until which nobody can change its files; None while they are open."""
        until = self.version.locked_until
        return day_of(until) if self.version.manifest_digest and until else None


VERSIONS = Table(
    name="versions",
    noun=("version", "versions"),
    columns=(
        Column(
            "version",
            "Version",
            lambda line: f"v{line.version.number}",
            sort="version.number",
            url=lambda line: line.url,
            place="name",
        ),
        Column(
            "stage",
            "Stage",
            "stage.badge",
            kind="badge",
            sort="stage.share",
            place="figure",
            css="nowrap",
        ),
        Column("files", "Files", "files", kind="badge", css="nowrap", optional=True),
        Column("note", "What changed", "note", title="version.note", optional=True),
        Column(
            "size",
            "Size",
            "size",
            sort="version.total_bytes",
            csv="version.total_bytes",
            css="num nowrap",
            optional=True,
        ),
        Column(
            "evaluation",
            "Evaluation",
            "run_badge",
            kind="badge",
            sub="f1",
            url=lambda line: line.run_url,
            unknown="Not evaluated",
            css="nowrap",
        ),
        Column(
            "signed",
            "Signed by",
            "version.signer",
            sub="digest",
            title="version.manifest_digest",
            unknown="Not signed",
        ),
        Column(
            "locked",
            "Locked until",
            "locked_until",
            kind="date",
            sort="locked_until",
            unknown="not locked",
            css="nowrap",
        ),
        Column("by", "Published by", "version.created_by.name", optional=True, css="nowrap"),
        Column(
            "published",
            "Published",
            "version.created_at",
            kind="time",
            sort="version.created_at",
            css="nowrap",
        ),
    ),
    order="-version",
    page_size=24,
)
