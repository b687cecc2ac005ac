"""Pages as tests read them: how a template breaks its lines says nothing."""


def joined(html: str | bytes) -> str:
    """Return a page with every run of white space as one space, as a browser shows it."""
    return " ".join((html.decode() if isinstance(html, bytes) else html).split())
