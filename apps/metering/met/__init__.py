"""What the callers of a model met, minute by minute: what objectives are held against."""
