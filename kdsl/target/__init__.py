"""Data about chips."""
