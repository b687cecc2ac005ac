"""`make bench-gate`: what the gate adds to a call, beside the same Envoy without it and beside
LiteLLM's proxy.
"""
