"""The gateway of the local stack: real Envoy and rate limit service, and a control plane of ours.

The control plane plays Envoy Gateway and Envoy AI Gateway from the same objects (AIGatewayRoute,
AIServiceBackend, Backend, SecurityPolicy, BackendTrafficPolicy, EnvoyProxy, ClientTrafficPolicy):
it compiles them into Envoy's files and answers Envoy's external processing calls. What it cannot
play faithfully it refuses with a condition.
"""
