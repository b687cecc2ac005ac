"""The errors every action may raise, and the one permission check."""


class DomainError(Exception):
    """The rows do not allow this change now. The text is shown to people: what is wrong and what to
    do.

    code: short, stable, for machines; the API answers 409 with it.
    """

    code = "conflict"


class NotPermitted(Exception):
    """The person may see the object but not do this. The text says who may. Pages and the API
    answer 403.
    """

    code = "not_permitted"


def require(allowed: bool, message: str) -> None:
    """Raise NotPermitted with `message` unless `allowed`."""
    if not allowed:
        raise NotPermitted(message)
