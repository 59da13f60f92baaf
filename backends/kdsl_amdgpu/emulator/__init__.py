"""Running LLVM's assembly text for AMD GPUs on a CPU, with every access checked.

Waves of several workgroups run in step: a register is an array of [waves, lanes], an instruction a
few NumPy calls. Where waves disagree about a branch they part; at a barrier they meet again. An
instruction without a row raises: what ran, ran wholly. Not modelled: time, wait counts, hazards,
caches.
"""
