"""Servers that run beside the gateway: child processes with an environment of their own, reached on this machine."""
