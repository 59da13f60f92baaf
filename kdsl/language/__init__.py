"""What a kernel author imports: tracing, typed values, control flow, tiles."""
