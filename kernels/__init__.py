"""Fused operations. Each file: a plain reference, a Triton kernel, and the wrapper that chooses. Imported as
`worldsim.kernels` and by that name only."""
