"""Which keys count, for whoever checks a signature."""

from django.db.models import Count, OuterRef, QuerySet, Subquery

from apps.catalog.models import ModelVersion
from apps.catalog.signers.models import Signer
from apps.common.signing import PublicKey


def believed_keys() -> list[PublicKey]:
    """Return the public keys whose signatures count, of now and of before. One query."""
    return [signer.key for signer in Signer.objects.believed()]


def trusted_pem() -> str:
    """Return the same as whoever loads models takes them: one PEM after the other."""
    return "".join(signer.public_key for signer in Signer.objects.believed())


def signer_of(name: str) -> Signer | None:
    """Return the key that a version says it was signed with; None where it is not known."""
    return Signer.objects.filter(name=name).first() if name else None


def with_signed(signers: QuerySet[Signer]) -> QuerySet[Signer]:
    """Add `signed` to each key, how many versions carry its signature, in the same query."""
    versions = ModelVersion.objects.filter(signer=OuterRef("name")).order_by()
    counted = versions.values("signer").annotate(count=Count("pk")).values("count")
    return signers.annotate(signed=Subquery(counted))
