"""Passes and pipelines; a pass is a frozen dataclass whose fields are its options."""
