"""OpenTelemetry's protocol as it comes in by HTTP: how a batch is taken from a request, walked and
answered, whatever it carries. What is in it is read by the app that keeps it.
"""
