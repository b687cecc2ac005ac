"""What every command begins with: which portal is meant, and whose token is used."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from apps.cli.exits import BadUse, NotSignedIn
from apps.cli.pipelines import PipelineTokens, is_pipeline
from apps.cli.portal import Portal, Tokens, address
from apps.cli.sign_in import GivenToken, Provider, StoredTokens
from apps.cli.store import Store

TOKEN, AUDIENCE = "QUARTERMASTER_TOKEN", "QUARTERMASTER_AUDIENCE"  # noqa: S105 - names


@dataclass
class Chosen:
    """What was chosen before the command: the portal's address as it was written, "" for the one
    that was signed in to last.
    """

    portal: str = ""

    def address(self, store: Store) -> str:
        """Return the portal's address. Raises BadUse where none is known."""
        if text := self.portal or store.portal():
            return address(text)
        raise BadUse("Which portal? Name it with --portal or QUARTERMASTER_URL.")


def tokens_for(portal: str, store: Store, env: Mapping[str, str]) -> Tokens:
    """Return where tokens come from: the environment, the run of a pipeline, or a sign-in on this
    machine, in this order. Raises NotSignedIn, Away.
    """
    if given := env.get(TOKEN, "").strip():
        return GivenToken(given)
    if is_pipeline(env):
        return PipelineTokens(env, portal, _audience(portal, env))
    return StoredTokens(store, portal, Provider())


def _audience(portal: str, env: Mapping[str, str]) -> str:
    """Return what a run's own token must be meant for: this portal. Where the portal itself asks
    for something else, the workflow has to name that: a token that is meant for a cloud would let
    whoever runs the portal act there as this run. Raises NotSignedIn, Away.
    """
    said = Provider().facts(portal).pipeline_audience
    if said.rstrip("/") != (env.get(AUDIENCE) or portal).rstrip("/"):
        raise NotSignedIn(
            f"{portal} asks for a token that is meant for {said!r}. If that is right, set "
            f"{AUDIENCE} to it."
        )
    return said


@contextmanager
def connected(chosen: Chosen) -> Iterator[Portal]:
    """Give the portal, as whoever is signed in."""
    store = Store.of_environment()
    url = chosen.address(store)
    portal = Portal(url, tokens_for(url, store, os.environ))
    try:
        yield portal
    finally:
        portal.close()
