"""What an approval is over, to the byte: put together when a version is proposed, compared ever
after, and what the worker commits.
"""
