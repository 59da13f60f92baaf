"""The Metal back end: Metal Shading Language text, compiled by the system that runs it."""
