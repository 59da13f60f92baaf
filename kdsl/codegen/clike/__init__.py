"""One generator for languages like C: a lane-level function becomes statements over scalars."""
