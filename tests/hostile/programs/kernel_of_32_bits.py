#| tries = "make system calls in the way of 32 bits, which the filter would read wrongly"
#| rows = [34, 38]
#| docker = "CRASH"
#| message = "signal (11|31)"
import ctypes, mmap


def f(x):
    code = b"\xb8\x66\0\0\0\xbb\1\0\0\0\xb9\0\0\0\0\xcd\x80\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    return 4
