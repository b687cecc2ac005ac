"""Legal holds: what is kept beyond its time, whatever rules and requests say."""
