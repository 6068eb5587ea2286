"""
GPUs of NVIDIA: launch plans, NVRTC, static checks, and the process that runs kernels on a device.

Blocking as elsewhere: MC x NC is the block tile (``bm`` x ``bn`` in kernels), MR x NR what one thread or warpgroup
holds in registers. Nothing here needs a GPU or a wheel to be imported.
"""
