"""The OTLP endpoint that the portal's own spans and figures are sent to, whosever it is."""
