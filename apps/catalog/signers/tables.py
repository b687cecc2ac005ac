"""The list of keys as a table. Declarations only."""

from apps.catalog.signers import pages
from apps.common.tables.columns import Column, Empty, Table

SIGNERS = Table(
    name="signers",
    noun=("key", "keys"),
    columns=(
        Column("name", "Key", "name", sort="name", url=pages.url, place="name", css="nowrap"),
        Column("state", "State", pages.badge, kind="badge", place="figure", css="nowrap"),
        Column("kind", "Private key in", "get_kind_display", sort="kind", csv="kind"),
        Column("key", "Key there", "key_id", kind="mono", unknown="not known", optional=True),
        Column("fingerprint", "Fingerprint", "fingerprint", kind="mono", optional=True,
               at_first=False),
        Column("from", "Signed from", "active_from", kind="time", sort="active_from"),
        Column("to", "Until", "active_to", kind="time", sort="active_to", unknown="now"),
        Column("versions", "Versions", "signed", kind="figure", unknown="0"),
    ),
    search=("name", "fingerprint__istartswith", "key_id"),
    search_words="Key or fingerprint",
    order="-from",
    empty=Empty(
        "No key yet",
        "The first one is noted when the registry's process starts.",
        icon="key-round",
    ),
)  # fmt: skip
