"""Launch arguments, DLPack views and checks; imports no vendor library."""
