"""Envoy's external processing protocol: what Envoy asks about each call, in words that name no
message of it, and a server that fails closed.

`exchange` has the words, `messages` builds what goes over the wire, `flow` is one call's way
through the protocol, and `server` serves it. gRPC and Envoy's messages are imported here alone.
"""
