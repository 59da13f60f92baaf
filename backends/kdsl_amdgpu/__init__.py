"""The AMDGPU back end: LLVM IR text, code objects of its own linking, an instruction emulator."""
