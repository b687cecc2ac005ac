"""Starts the stand-in with an engine's own command line: `python -m deploy.local.engine.stand_in
--model DIR --port P`.

Every flag of vLLM's server is taken, most without effect, and an unknown one ends it with vLLM's
words and exit code 2: a deployment that would fail on a real engine fails here too.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.engine.flags import unknown_flags
from deploy.local.engine.stand_in.engine import Engine
from deploy.local.engine.stand_in.metrics import Metrics
from deploy.local.engine.stand_in.model import BadModel, load_model
from deploy.local.engine.stand_in.server import Server, log
from deploy.local.engine.stand_in.spans import Spans

TOKENS_PER_SECOND = 60.0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the settings that mean something here; ends the process with code 2 on a flag that
    vLLM does not know.
    """
    parser = argparse.ArgumentParser(prog="api_server.py", allow_abbrev=False)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", nargs="+", default=[])
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--max-num-seqs", type=int, default=8)
    parser.add_argument("--enable-force-include-usage", action="store_true")
    parser.add_argument("--api-key", nargs="+", default=[])
    parser.add_argument("--otlp-traces-endpoint", default="")
    parser.add_argument("--scheduling-policy", choices=("fcfs", "priority"), default="fcfs")
    pace = float(os.environ.get("STAND_IN_TOKENS_PER_SECOND", TOKENS_PER_SECOND))
    parser.add_argument("--tokens-per-second", type=float, default=pace, help="0 answers at once")
    settings, rest = parser.parse_known_args(arguments)
    if unknown := unknown_flags(rest):
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return settings


def keys_of(given: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that calls may show: those of the command line, else the variable's, as vLLM
    takes them; what is empty is none.
    """
    return tuple(key for key in given or [environment.get("VLLM_API_KEY", "")] if key)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM; 1 where the model folder cannot be served."""
    settings = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    names = tuple(settings.served_model_name) or (str(settings.model),)
    try:
        model = load_model(settings.model, settings.max_model_len)
    except BadModel as error:
        log(f"ERROR the model cannot be served: {error}")
        return 1
    pace, seats = settings.tokens_per_second, settings.max_num_seqs
    engine = Engine(model, Metrics(names[0]), pace, seats, names[0])
    where, tells = (settings.host, settings.port), settings.enable_force_include_usage
    by_priority = settings.scheduling_policy == "priority"
    service = os.environ.get("OTEL_SERVICE_NAME") or names[0]
    endpoint = settings.otlp_traces_endpoint
    with Server(
        where,
        engine,
        names,
        always_tells_usage=tells,
        by_priority=by_priority,
        keys=keys_of(settings.api_key, os.environ),
        spans=Spans(endpoint, service) if endpoint else None,
    ) as server:
        log(
            f"stand-in (no model is loaded) serves {', '.join(names)} on "
            f"http://{settings.host}:{settings.port}"
        )
        server.run()
    log("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
