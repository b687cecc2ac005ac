"""In the gate: what becomes of a prompt from the moment it arrives until it is durable."""

KEY_SECONDS = 300  # for which a gate keeps a data key in memory: an erasure takes so long there
