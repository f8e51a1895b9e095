"""Samples of the host and of live VMs, taken once for all who look."""
