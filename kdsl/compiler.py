"""The straight line: from a traced module to an artifact."""
