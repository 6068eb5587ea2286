"""
What guarded code may do: the Landlock rights and the seccomp filters, as the bytes that the kernel takes.

Everything is an allow-list; what is not named here is refused with EPERM (seccomp) or EACCES (Landlock).
The filters are written for x86-64, whose system-call numbers they compare; see `seccomp_supported`.
"""

import functools
import platform
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

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


# System-call numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
_COMPUTE = """
    read=0 write=1 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12 rt_sigaction=13
    rt_sigprocmask=14 rt_sigreturn=15 pread64=17 readv=19 writev=20 access=21 select=23 sched_yield=24 mremap=25
    madvise=28 dup=32 dup2=33 nanosleep=35 getpid=39 exit=60 uname=63 getcwd=79 readlink=89 gettimeofday=96
    getrlimit=97 getrusage=98 sysinfo=99 times=100 getuid=102 getgid=104 geteuid=107 getegid=108 getppid=110
    sigaltstack=131 gettid=186 time=201 futex=202 sched_getaffinity=204 getdents64=217 set_tid_address=218
    restart_syscall=219 clock_gettime=228 clock_getres=229 clock_nanosleep=230 exit_group=231 newfstatat=262
    readlinkat=267 faccessat=269 pselect6=270 ppoll=271 set_robust_list=273 dup3=292 getrandom=318 statx=332 rseq=334
    faccessat2=439
"""
# A tool starts threads and processes and writes files; Landlock says which it may execute and where it may write.
# umask, flock, fsync and their like act on files the tool could open anyway. memfd_create is absent because Landlock
# does not see such files, so that a tool could execute what it had written there.
_BUILD = """
    open=2 openat=257 pwrite64=18 pipe=22 fork=57 vfork=58 execve=59 wait4=61 flock=73 fsync=74 fdatasync=75
    ftruncate=77 chdir=80 rename=82 mkdir=83 rmdir=84 unlink=87 umask=95 getpgrp=111 fstatfs=138 arch_prctl=158
    epoll_wait=232 epoll_ctl=233 waitid=247 mkdirat=258 unlinkat=263 renameat=264 epoll_pwait=281 fallocate=285
    eventfd2=290 epoll_create1=291 pipe2=293 preadv=295 pwritev=296 renameat2=316
    copy_file_range=326 preadv2=327 pwritev2=328
"""


def _numbers(table: str) -> list[int]:
    return [int(entry.split("=")[1]) for entry in table.split()]


_KILL, _EPERM, _ENOSYS, _ALLOW = 0x8000_0000, 0x0005_0001, 0x0005_0026, 0x7FFF_0000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ARCH_X86_64, _X32_BIT = 0xC000_003E, 0x4000_0000


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
# PR_SET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME.
_PRCTLS = (1, 15, 16)


@functools.cache
def seccomp_filter(*, build: bool) -> bytes:
    """
    Return the BPF program for a script (``build=False``) or for a toolchain (``build=True``).

    Neither profile has sockets, signals to others, ptrace, mount, namespaces, bpf, perf, io_uring, keyrings, chmod
    or chown. A script's profile has no threads, no processes, and opens files for reading only.
    A foreign architecture (``int 0x80``, x32) is killed, since its numbers mean other calls.
    """
    program = [_load(_ARCH_AT), _equal(_ARCH_X86_64, 1, 0), _return(_KILL), _load(_NUMBER_AT)]
    program += [(0x35, 0, 1, _X32_BIT), _return(_KILL)]
    for number in _numbers(_COMPUTE + (_BUILD if build else "")):
        program += [_equal(number, 0, 1), _return(_ALLOW)]
    program += _only_values(16, 1, _IOCTLS) + _only_values(72, 1, _FCNTLS)
    if build:
        clone, clone3, prctl, prlimit64 = 56, 435, 157, 302
        program += _without_bits(clone, 0, _NEW_NAMESPACES)
        # clone3's flags are behind a pointer that a filter cannot read; ENOSYS sends libc back to clone.
        program += [_equal(clone3, 0, 1), _return(_ENOSYS)]
        program += _only_values(prctl, 0, _PRCTLS) + _only_values(prlimit64, 0, (0,))
    else:
        program += _without_bits(2, 1, _ANY_WRITING) + _without_bits(257, 2, _ANY_WRITING)
    program.append(_return(_EPERM))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def seccomp_supported() -> bool:
    """Return whether the filters above fit this machine: x86-64 under Linux, and a 64-bit interpreter."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and sys.maxsize > 1 << 32
