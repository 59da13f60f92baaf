"""The Hopper schedule: tile programs become warp-specialised kernels."""
