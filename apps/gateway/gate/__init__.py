"""One call through the gate, from its first byte to its last: read, reserve, inspect, record, pass
or refuse, inspect the answer, settle, record.

No wire format stands here: `apps/integrations/envoy` turns Envoy's messages into these words, and
`worker/processes/gate.py` puts the steps together.
"""
