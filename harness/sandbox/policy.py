"""
What guarded code may do: the Landlock rights and the seccomp filters, as the bytes that the kernel takes.

Everything is an allow-list; what is not named here is refused with EPERM (seccomp) or EACCES (Landlock).
Filters compare system-call numbers, which are a machine's own (`harness.sandbox.system_calls`); see `seccomp_supported`.
"""

import ctypes
import functools
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.sandbox.system_calls import CALLS

# linux/landlock.h. The number is the ABI version that brought the right; older kernels ignore what they do not know.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
REFER, TRUNCATE = 1 << 13, 1 << 14
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE


def landlock_ruleset(abi: int) -> bytes:
    """Return the ``landlock_ruleset_attr`` that handles every right of this ABI: files, then TCP, then signals."""
    files = (1 << _RIGHTS_OF_ABI[min(abi, 5)]) - 1
    if abi < 4:
        return struct.pack("<Q", files)
    bind_and_connect = 0b11
    if abi < 6:
        return struct.pack("<QQ", files, bind_and_connect)
    abstract_sockets_and_signals = 0b11
    return struct.pack("<QQQ", files, bind_and_connect, abstract_sockets_and_signals)


def landlock_rules(abi: int, rights: Iterable[tuple[Path, int]]) -> list[tuple[str, int]]:
    """Resolve paths and drop the rights that do not fit them (a file has no entries) or that the kernel lacks."""
    known = (1 << _RIGHTS_OF_ABI[min(abi, 5)]) - 1
    rules = []
    for path, access in rights:
        real = path.resolve()
        if real.exists():
            rules.append((str(real), access & known & (~0 if real.is_dir() else _FILE_RIGHTS)))
    return rules


_COMPUTE = """
    read write close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn
    pread64 readv writev access select sched_yield mremap madvise dup dup2 nanosleep getpid exit uname getcwd readlink
    gettimeofday getrlimit getrusage sysinfo times getuid getgid geteuid getegid getppid sigaltstack gettid time futex
    sched_getaffinity getdents64 set_tid_address restart_syscall clock_gettime clock_getres clock_nanosleep exit_group
    newfstatat readlinkat faccessat pselect6 ppoll set_robust_list dup3 getrandom statx rseq faccessat2
"""
# A tool starts threads and processes and writes files; Landlock says which it may execute and where it may write.
# umask, flock, fsync and their like act on files the tool could open anyway. memfd_create is absent because Landlock
# does not see such files, so that a tool could execute what it had written there.
_BUILD = """
    open openat pwrite64 pipe fork vfork execve wait4 flock fsync fdatasync ftruncate chdir rename mkdir rmdir unlink
    umask getpgrp fstatfs arch_prctl epoll_wait epoll_ctl waitid mkdirat unlinkat renameat epoll_pwait fallocate
    eventfd2 epoll_create1 pipe2 preadv pwritev renameat2 copy_file_range preadv2 pwritev2
"""


_KILL, _EPERM, _ENOSYS, _ALLOW = 0x8000_0000, 0x0005_0001, 0x0005_0026, 0x7FFF_0000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x4000_0000


def _load(offset: int) -> tuple[int, int, int, int]:
    return (0x20, 0, 0, offset)


def _equal(value: int, skip_if: int, skip_else: int) -> tuple[int, int, int, int]:
    return (0x15, skip_if, skip_else, value)


def _return(action: int) -> tuple[int, int, int, int]:
    return (0x06, 0, 0, action)


def _only_values(number: int, argument: int, values: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Allow a system call when the low half of an argument is one of ``values``."""
    tests = [_equal(value, len(values) - at, 0) for at, value in enumerate(values)]
    body = [_load(_ARGUMENTS_AT + 8 * argument), *tests, _return(_EPERM), _return(_ALLOW)]
    return [_equal(number, 0, len(body)), *body]


def _without_bits(number: int, argument: int, bits: int) -> list[tuple[int, int, int, int]]:
    """Allow a system call when the low half of an argument has none of ``bits``."""
    mask = (0x54, 0, 0, bits)
    body = [_load(_ARGUMENTS_AT + 8 * argument), mask, _equal(0, 1, 0), _return(_EPERM), _return(_ALLOW)]
    return [_equal(number, 0, len(body)), *body]


# O_ACCMODE, O_CREAT, O_TRUNC, O_APPEND and the bit that makes O_DIRECTORY an O_TMPFILE.
_ANY_WRITING = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_NEW_NAMESPACES = 0x7E02_0000
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what isatty and descriptor set-up ask; never TIOCSTI.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# F_DUPFD to F_SETLKW, F_DUPFD_CLOEXEC, F_GETPIPE_SZ; never F_SETOWN, which sends signals to others.
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032)
_PR_GET_SECCOMP = 21
# PR_SET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME.
_PRCTLS = (1, 15, 16)


@functools.cache
def seccomp_filter(*, build: bool, machine: str = platform.machine()) -> bytes:
    """
    Return the BPF program for a script (``build=False``) or for a toolchain (``build=True``); of this machine unless told.

    Neither profile has sockets, signals to others, ptrace, mount, namespaces, bpf, perf, io_uring, keyrings, chmod
    or chown. A script's profile has no threads, no processes, and opens files for reading only.
    A foreign architecture (``int 0x80``, x32) is killed, since its numbers mean other calls.
    """
    calls = CALLS[machine]
    number_of = calls.numbers
    program = [_load(_ARCH_AT), _equal(calls.architecture, 1, 0), _return(_KILL), _load(_NUMBER_AT)]
    program += [(0x35, 0, 1, _X32_BIT), _return(_KILL)]
    for name in (_COMPUTE + (_BUILD if build else "")).split():
        if name in number_of:
            program += [_equal(number_of[name], 0, 1), _return(_ALLOW)]
    program += _only_values(number_of["ioctl"], 1, _IOCTLS) + _only_values(number_of["fcntl"], 1, _FCNTLS)
    if build:
        program += _without_bits(number_of["clone"], 0, _NEW_NAMESPACES)
        # clone3's flags are behind a pointer that a filter cannot read; ENOSYS sends libc back to clone.
        program += [_equal(number_of["clone3"], 0, 1), _return(_ENOSYS)]
        program += _only_values(number_of["prctl"], 0, _PRCTLS) + _only_values(number_of["prlimit64"], 0, (0,))
    else:
        opening = {name: flags for name, flags in (("open", 1), ("openat", 2)) if name in number_of}
        program += [step for name, flags in opening.items() for step in _without_bits(number_of[name], flags, _ANY_WRITING)]
    program.append(_return(_EPERM))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def seccomp_supported() -> bool:
    """Return whether this kernel takes filters, and there are some for this machine and a 64-bit interpreter."""
    if sys.platform != "linux" or platform.machine() not in CALLS or sys.maxsize <= 1 << 32:
        return False
    return ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0
