"""Declared cases: what checks and benchmarks run, and how they are measured next to their peers."""
