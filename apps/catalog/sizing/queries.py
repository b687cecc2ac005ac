"""Reads of what sizing rests on: figures, reports of engines, and how far the work is."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.catalog.facts.queries import of_version
from apps.catalog.models import ModelVersion
from apps.catalog.sizing.compute import library
from apps.catalog.sizing.figures import Figures
from apps.catalog.sizing.fits import Key, Known
from apps.catalog.sizing.memory import Reported
from apps.catalog.sizing.models import CardFigures, EngineReport, SizingJob
from apps.catalog.sizing.shapes import Shape


@dataclass(frozen=True)
class Progress:
    """How many figures are made of how many; message: why it waits. is_done: nothing is left."""

    done: int
    total: int
    message: str
    job: SizingJob | None

    @property
    def is_done(self) -> bool:
        """Tell whether everything is worked out that can be."""
        return self.job is not None and self.job.finished_at is not None


def shape_of(version: ModelVersion) -> Shape | None:
    """Return what a version's facts say of its size; None where they are not known yet."""
    facts = of_version(version)
    return Shape.of(facts) if facts else None


def known(shape: Shape, version: ModelVersion | None = None) -> Known:
    """Return everything that an answer rests on; one query, one more for a version's reports."""
    rows = list(CardFigures.objects.filter(shape=shape.digest, library=library()))
    figures: dict[Key, Figures] = {
        (row.table, row.ways): Figures.of_json(row.figures) for row in rows if row.figures
    }
    problems = {(row.table, row.ways): row.problem for row in rows if not row.figures}
    longest = version.registered_model.context_length if version else shape.context or 0
    said = reported(version) if version else {}
    return Known(shape, figures, problems, said, 0 if shape.is_windowed else longest)


def progress(shape: Shape) -> Progress:
    """Return how far the figures of a shape are; two queries."""
    job = SizingJob.objects.filter(shape=shape.digest, library=library()).first()
    if job is None:
        return Progress(0, 0, "", None)
    made = CardFigures.objects.filter(shape=shape.digest, library=job.library).count()
    return Progress(min(made, len(job.wanted)), len(job.wanted), job.message, job)


def reported(version: ModelVersion) -> Mapping[tuple[str, int], Reported]:
    """Return the newest report of an engine for each kind of GPU and split, of this version and of
    others of its model; this version's own before others. Two queries.
    """
    rows = EngineReport.objects.filter(
        version__registered_model=version.registered_model_id
    ).select_related("version__registered_model")
    found: dict[tuple[str, int], Reported] = {}
    own: set[tuple[str, int]] = set()
    shapes: dict[int, Shape | None] = {}
    for row in rows[:200]:
        key = (row.gpu, row.ways)
        is_own = row.version_id == version.pk
        if key in own or (key in found and not is_own):
            continue
        if row.version_id not in shapes:
            shapes[row.version_id] = shape_of(row.version)
        said = _reported(row, shapes[row.version_id])
        if said is not None:
            found[key] = said
            own |= {key} if is_own else set()
    return found


def _reported(row: EngineReport, shape: Shape | None) -> Reported | None:
    """Return a report with what its version's files say; None where that is not enough."""
    kv_bytes = shape.kv_bytes(row.ways) if shape else None
    weights = row.weight_bytes or (
        -(-shape.weight_bytes // row.ways) if shape and shape.weight_bytes else None
    )
    if not (kv_bytes and weights):
        return None
    return Reported(
        row.version.name, row.engine, row.gpu, row.ways, row.gpu_bytes, row.fraction, weights,
        kv_bytes, row.kv_tokens, row.reported_at,
    )  # fmt: skip
