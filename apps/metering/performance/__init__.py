"""How fast each version that serves is, as its own callers met it."""
