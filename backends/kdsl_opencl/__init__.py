"""The OpenCL back end: OpenCL C 1.2 text, compiled by the driver, launched through pyopencl."""
