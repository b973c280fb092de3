"""Candidate pairs -> who stays: on the driver within its budget, on the cluster beyond it."""
