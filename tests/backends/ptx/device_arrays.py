"""Arrays that say they are on a device: host memory under a device's name."""

from __future__ import annotations

import ctypes

import numpy as np


class DlpackArray:
    """An array of a library that shows nothing but DLPack."""

    def __init__(self, array, device=(2, 0)):
        self.array, self.device = array, device
        self.asked = []

    def __dlpack__(self, **given):
        self.asked.append(given)
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.device


class InterfaceArray:
    """An array with the older protocol."""

    def __init__(self, array):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": array.strides,
            "version": 3,
        }


class Dtype:
    """A dtype that is known by its text."""

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


BF16, F32, I32 = Dtype("torch.bfloat16"), Dtype("torch.float32"), Dtype("torch.int32")


class Tensor:
    """What a launch asks of a tensor of torch; ``__module__`` says whose it is."""

    is_cpu = False
    is_meta = False

    def __init__(self, shape, dtype=F32, index=0, strides=None, address=None):
        self.shape, self.dtype, self.index = tuple(shape), dtype, index
        self.ndim = len(self.shape)
        self.strides = strides or tuple(np.cumprod([1, *shape[:0:-1]])[::-1].tolist())
        self.room = ctypes.create_string_buffer(64)
        self.address = (ctypes.addressof(self.room) + 15) // 16 * 16 if address is None else address

    def data_ptr(self):
        return self.address

    def stride(self):
        return self.strides

    def get_device(self):
        return self.index

    def is_contiguous(self):
        return True

    def detach(self):
        return self

    def __dlpack_device__(self):
        return (2, self.index)


Tensor.__module__ = "torch"
