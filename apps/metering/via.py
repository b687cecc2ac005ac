"""By which way a record of a call came."""

# GATE: no line of the access log came; see gate/reconcile.py
VIA = (("OTLP", "OTLP"), ("FILE", "File"), ("GATE", "Gate"))
