"""Runs serving pods as processes on this machine and reports their status as a kubelet does."""
