"""Traces: what each part of the platform did for one call, and how long that took.

Spans come as OTLP to POST /v1/traces, from the gateway, the gate, the engines and the portal's own
processes, and are kept for a day. No word of a prompt, an answer or a member is among them: only
what apps/common/otlp/facts.py names is kept of a span. Whose trace somebody may see is the business
of the page (portal/pages/gateway/trace.py).
"""
