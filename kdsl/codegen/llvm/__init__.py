"""Lane-level modules as LLVM IR text, for every back end that is an LLVM target."""
