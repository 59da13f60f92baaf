"""Ops of the machine that the PTX back end writes for."""
