"""Which engine answers, as it calls itself: "vllm 0.11.0", or the labeled stand-in of the local
stack, which loads no model.
"""

STAND_IN = "stand-in"


def is_stand_in(engine: str) -> bool:
    """Tell whether an engine is the stand-in. engine: its name, with or without a version."""
    return engine.startswith(STAND_IN)
