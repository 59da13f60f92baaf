"""The CPU back end: LLVM IR text, compiled in process by llvmlite."""
