"""
Numbers of system calls, by machine: x86-64 has its own, younger instruction sets share the general ones.

The general table has no calls that take a path without a directory and none that a later call replaced (open, fork,
dup2, pipe); C libraries there use what is left.
"""

from collections.abc import Mapping
from dataclasses import dataclass


def _table(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (entry.split("=") for entry in text.split())}


# arch/x86/entry/syscalls/syscall_64.tbl
_X86_64 = _table("""
    read=0 write=1 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12 rt_sigaction=13
    rt_sigprocmask=14 rt_sigreturn=15 pread64=17 readv=19 writev=20 access=21 select=23 sched_yield=24 mremap=25
    madvise=28 dup=32 dup2=33 nanosleep=35 getpid=39 exit=60 uname=63 getcwd=79 readlink=89 gettimeofday=96
    getrlimit=97 getrusage=98 sysinfo=99 times=100 getuid=102 getgid=104 geteuid=107 getegid=108 getppid=110
    sigaltstack=131 gettid=186 time=201 futex=202 sched_getaffinity=204 getdents64=217 set_tid_address=218
    restart_syscall=219 clock_gettime=228 clock_getres=229 clock_nanosleep=230 exit_group=231 newfstatat=262
    readlinkat=267 faccessat=269 pselect6=270 ppoll=271 set_robust_list=273 dup3=292 getrandom=318 statx=332 rseq=334
    faccessat2=439 open=2 openat=257 pwrite64=18 pipe=22 fork=57 vfork=58 execve=59 wait4=61 flock=73 fsync=74
    fdatasync=75 ftruncate=77 chdir=80 rename=82 mkdir=83 rmdir=84 unlink=87 umask=95 getpgrp=111 fstatfs=138
    arch_prctl=158 epoll_wait=232 epoll_ctl=233 waitid=247 mkdirat=258 unlinkat=263 renameat=264 epoll_pwait=281
    fallocate=285 eventfd2=290 epoll_create1=291 pipe2=293 preadv=295 pwritev=296 renameat2=316 copy_file_range=326
    preadv2=327 pwritev2=328 ioctl=16 fcntl=72 clone=56 clone3=435 prctl=157 prlimit64=302
""")
# include/uapi/asm-generic/unistd.h
_GENERAL = _table("""
    read=63 write=64 close=57 fstat=80 lseek=62 mmap=222 mprotect=226 munmap=215 brk=214 rt_sigaction=134
    rt_sigprocmask=135 rt_sigreturn=139 pread64=67 readv=65 writev=66 sched_yield=124 mremap=216 madvise=233 dup=23
    nanosleep=101 getpid=172 exit=93 uname=160 getcwd=17 gettimeofday=169 getrlimit=163 getrusage=165 sysinfo=179
    times=153 getuid=174 getgid=176 geteuid=175 getegid=177 getppid=173 sigaltstack=132 gettid=178 futex=98
    sched_getaffinity=123 getdents64=61 set_tid_address=96 restart_syscall=128 clock_gettime=113 clock_getres=114
    clock_nanosleep=115 exit_group=94 newfstatat=79 readlinkat=78 faccessat=48 pselect6=72 ppoll=73 set_robust_list=99
    dup3=24 getrandom=278 statx=291 rseq=293 faccessat2=439 openat=56 pwrite64=68 execve=221 wait4=260 flock=32
    fsync=82 fdatasync=83 ftruncate=46 chdir=49 umask=166 fstatfs=44 epoll_ctl=21 waitid=95 mkdirat=34 unlinkat=35
    renameat=38 epoll_pwait=22 fallocate=47 eventfd2=19 epoll_create1=20 pipe2=59 preadv=69 pwritev=70 renameat2=276
    copy_file_range=285 preadv2=286 pwritev2=287 ioctl=29 fcntl=25 clone=220 clone3=435 prctl=167 prlimit64=261
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The system calls of one machine."""

    architecture: int
    """What seccomp calls it: AUDIT_ARCH of linux/audit.h."""
    numbers: Mapping[str, int]


CALLS = {
    "x86_64": Calls(architecture=0xC000_003E, numbers=_X86_64),
    "aarch64": Calls(architecture=0xC000_00B7, numbers=_GENERAL),
    "riscv64": Calls(architecture=0xC000_00F3, numbers=_GENERAL),
}
"""By `platform.machine()`."""
