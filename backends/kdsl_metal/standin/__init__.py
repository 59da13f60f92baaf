"""Metal text on a CPU: our own reading of the Metal library, compiled by clang, run by fibers."""
