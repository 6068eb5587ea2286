"""
A zoo of attacks on the sandbox: what a hostile kernel script or a hostile input to a compiler may try.

Each text prints BREACH where it got through. ``evidence`` is what must be seen instead: an error, or the limit's name.
``{secret}``, ``{folder}``, ``{unix}`` and ``{port}`` stand for a file outside, its folder, and two listening sockets.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox import Limits, Protections


@dataclass(frozen=True, slots=True)
class Attack:
    """One attempt; ``toothed`` says that it breaches wherever nothing guards it, which a test holds it to."""

    name: str
    text: str
    evidence: str
    toothed: bool = False

    def against(self, **places: object) -> str:
        """Return the text aimed at the given places."""
        text = self.text
        for name, place in places.items():
            text = text.replace(f"{{{name}}}", str(place))
        return text


_DENIED, _FORBIDDEN = "Permission denied", "Operation not permitted"
_SYSCALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
result = libc.syscall(*({},))
print("BREACH" if result >= 0 else os.strerror(ctypes.get_errno()))
"""


def _call(name: str, arguments: str, *, toothed: bool = False) -> Attack:
    return Attack(name, _SYSCALL.replace("{}", arguments), _FORBIDDEN, toothed)


_MACHINE_CODE = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("{}"))
print("before", flush=True)
entry = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("BREACH" if entry() > 0 else "refused")
"""

FILES = (
    Attack("read a secret", "print('BREACH', open('{secret}').read())", _DENIED, True),
    Attack("read it by a relative path", "print('BREACH', open('../../..{secret}').read())", _DENIED),
    Attack("read the password file", "print('BREACH', open('/etc/passwd').read())", _DENIED, True),
    Attack("list a folder", "import os; print('BREACH', os.listdir('{folder}'))", _DENIED, True),
    Attack("list the root", "import os; print('BREACH', os.listdir('/'))", _DENIED, True),
    Attack("read through a new link", "import os; os.symlink('{secret}', 'l'); print('BREACH')", _FORBIDDEN, True),
    Attack("hard-link a secret", "import os; os.link('{secret}', 'h'); print('BREACH')", _FORBIDDEN),
    Attack("write outside", "open('{folder}/new', 'w').write('x'); print('BREACH')", _FORBIDDEN, True),
    Attack("write into shared memory", "open('/dev/shm/opw-x', 'w'); print('BREACH')", _FORBIDDEN),
    Attack("write beside itself", "open('more', 'w'); print('BREACH')", _FORBIDDEN, True),
    Attack("rewrite itself", "open('kernel_script.py', 'r+'); print('BREACH')", _FORBIDDEN, True),
    Attack("make a folder", "import os; os.mkdir('d'); print('BREACH')", _FORBIDDEN, True),
    Attack("make a fifo", "import os; os.mkfifo('f'); print('BREACH')", _FORBIDDEN, True),
    Attack("remove a file", "import os; os.unlink('{secret}'); print('BREACH')", _FORBIDDEN),
    Attack("move a file", "import os; os.rename('{secret}', '{folder}/s2'); print('BREACH')", _FORBIDDEN),
    Attack("cut a file", "import os; os.truncate('{secret}', 0); print('BREACH')", _FORBIDDEN),
    Attack("change a mode", "import os; os.chmod('{secret}', 0o777); print('BREACH')", _FORBIDDEN, True),
    Attack("change a time", "import os; os.utime('{secret}', (0, 0)); print('BREACH')", _FORBIDDEN, True),
    Attack("change an owner", "import os; os.chown('{secret}', -1, -1); print('BREACH')", _FORBIDDEN, True),
    Attack("use extended attributes", "import os; os.listxattr('{secret}'); print('BREACH')", _FORBIDDEN, True),
    Attack("leave the root", "import os; os.chroot('.'); print('BREACH')", _FORBIDDEN),
    Attack("go elsewhere", "import os; os.chdir('/'); print('BREACH')", _FORBIDDEN, True),
    _call("openat2 past the open rule", "437, -100, b'/etc/passwd', bytes(24), 24", toothed=True),
    _call("open by handle", "304, -100, bytes(64), 0"),
    Attack(
        "read the parent's environment",
        "import os; print('BREACH', open(f'/proc/{os.getppid()}/environ').read())",
        _DENIED,
        True,
    ),
    Attack("read its own memory file", "open('/proc/self/mem', 'rb'); print('BREACH')", _DENIED, True),
    Attack(
        "reopen its input for writing",
        "import os; os.write(os.open('/proc/self/fd/0', os.O_RDWR), b'x'); print('BREACH')",
        _FORBIDDEN,
    ),
    Attack(
        "find a key in the environment",
        "import os; print('BREACH' if any('KEY' in k for k in os.environ) else 'clean')",
        "clean",
        True,
    ),
    Attack(
        "find an inherited descriptor",
        """
import os
found = []
for number in range(3, 256):
    try:
        os.fstat(number)
        found.append(number)
    except OSError:
        pass
print("BREACH" if found else "clean")
""",
        "clean",
        True,
    ),
)

NETWORK = (
    Attack("tcp", "import socket; socket.create_connection(('127.0.0.1', {port})); print('BREACH')", _FORBIDDEN, True),
    Attack(
        "udp", "import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', 9)); print('BREACH')", _FORBIDDEN, True
    ),
    Attack("unix", "import socket; socket.socket(1, 1).connect('{unix}'); print('BREACH')", _FORBIDDEN, True),
    Attack("socket pair", "import socket; socket.socketpair(); print('BREACH')", _FORBIDDEN, True),
    _call("socket without Python", "41, 2, 1, 0", toothed=True),
)

PROCESSES = (
    Attack("exec a shell", "import os; os.execv('/bin/sh', ['sh', '-c', 'echo BREACH'])", _FORBIDDEN, True),
    Attack("exec the loader", "import os; os.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/bin/sh'])", _FORBIDDEN),
    Attack("subprocess", "import subprocess; subprocess.run(['/bin/echo', 'BREACH'])", _FORBIDDEN, True),
    Attack("spawn", "import os; os.posix_spawn('/bin/echo', ['echo'], {}); print('BREACH')", _FORBIDDEN, True),
    Attack("run code from memory", "import os; f = os.memfd_create('x'); print('BREACH')", _FORBIDDEN, True),
    Attack("fork", "import os; os.fork() or os._exit(0); print('BREACH')", _FORBIDDEN, True),
    Attack(
        "threads",
        "import threading; threading.Thread(target=print).start(); print('BREACH')",
        "can't start new thread",
        True,
    ),
    Attack("signal the parent", "import os; os.kill(os.getppid(), 0); print('BREACH')", _FORBIDDEN, True),
    Attack("signal everybody", "import os; os.kill(-1, 0); print('BREACH')", _FORBIDDEN),
    Attack(
        "have the kernel signal the parent",
        "import fcntl, os; fcntl.fcntl(0, 8, os.getppid()); print('BREACH')",
        _FORBIDDEN,
        True,
    ),
    Attack("leave the session", "import os; os.setsid(); print('BREACH')", _FORBIDDEN),
    Attack(
        "raise a limit",
        "import resource; resource.setrlimit(7, (64, 64)); print('BREACH')",
        "not allowed to raise",
        True,
    ),
    Attack("choose its cores", "import os; os.sched_setaffinity(0, {0}); print('BREACH')", _FORBIDDEN, True),
    Attack("become another user", "import os; os.setuid(os.getuid()); print('BREACH')", _FORBIDDEN, True),
    Attack("type into the terminal", "import fcntl; fcntl.ioctl(0, 0x5412, b'x'); print('BREACH')", _FORBIDDEN),
)

KERNEL = (
    _call("ptrace the parent", "101, 0x4206, os.getppid(), 0, 0"),
    _call("read the parent's memory", "310, os.getppid(), 0, 0, 0, 0, 0"),
    _call("take the parent's descriptor", "434, os.getppid(), 0", toothed=True),
    _call("new user namespace", "272, 0x10000000"),
    _call("clone into a namespace", "56, 0x10000011, 0, 0, 0, 0"),
    _call("clone3", "435, bytes(88), 88"),
    _call("join a namespace", "308, 0, 0"),
    _call("mount", "165, b'none', b'/tmp', b'tmpfs', 0, 0"),
    _call("fsopen", "430, b'tmpfs', 0"),
    _call("bpf", "321, 0, bytes(128), 128"),
    _call("perf", "298, bytes(128), 0, -1, -1, 0"),
    _call("io_uring", "425, 1, bytes(120)"),
    _call("keyring", "250, 0, -3, 1", toothed=True),
    _call("userfaultfd", "323, 0"),
    _call("shared memory", "29, 0, 4096, 0o1600"),
    _call("message queue", "68, 0, 0o1600"),
    _call("timer interrupts elsewhere", "222, 0, 0, bytes(8)"),
    _call("lift the filter", "157, 22, 0, 0, 0, 0"),
    _call("own filter with a listener", "317, 1, 8, bytes(16)"),
    _call("lock memory", "149, 0, 0"),
    _call("set the clock", "227, 0, bytes(16)"),
    _call("load a module", "313, 0, b'', 0"),
    # mov eax, 20 (getpid of i386); int 0x80; ret
    Attack("32-bit system call", _MACHINE_CODE.replace("{}", "b814000000cd80c3"), "before"),
    # mov eax, 0x40000027 (getpid of x32); syscall; ret
    Attack("x32 system call", _MACHINE_CODE.replace("{}", "b8270000400f05c3"), "before"),
)

APPETITE = (
    Attack("memory", "x = bytearray(2 << 30); print('BREACH')", "MemoryError"),
    Attack("memory map", "import mmap; mmap.mmap(-1, 2 << 30); print('BREACH')", "Cannot allocate memory"),
    Attack("endless loop", "while True: pass", "cpu time"),
    Attack(
        "endless loop that minds no signal",
        "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        "cpu time",
    ),
    Attack("sleep", "import time; time.sleep(60); print('BREACH')", "wall time"),
    Attack(
        "sleep with its outputs closed",
        "import os, time; os.close(1); os.close(2); time.sleep(60); print('BREACH')",
        "wall time",
    ),
    Attack("flood", "while True: print('x' * 65536)", "output"),
    Attack("flood of errors", "import sys\nwhile True: sys.stderr.write('x' * 65536)", "output"),
    Attack("descriptors", "import os\nfor n in range(99): os.dup(0)\nprint('BREACH')", "Too many open files"),
    Attack("deep recursion", "f = lambda: f()\nf()\nprint('BREACH')", "RecursionError"),
)

SCRIPTS = FILES + NETWORK + PROCESSES + KERNEL + APPETITE

# What a compiler that has been taken over may try: run by a Python that stands in for the tool, under a tool's rules.
TOOLS = (
    Attack("read a secret", "print('BREACH', open('{secret}').read())", _DENIED, True),
    Attack("read through a link", "import os; os.symlink('{secret}', 'l'); print('BREACH')", _FORBIDDEN, True),
    Attack("write outside", "open('{folder}/new', 'w').write('x'); print('BREACH')", _DENIED, True),
    Attack("remove a file", "import os; os.unlink('{secret}'); print('BREACH')", _DENIED),
    Attack("change a mode", "import os; os.chmod('{secret}', 0o777); print('BREACH')", _FORBIDDEN, True),
    Attack("exec a shell", "import os; os.execv('/bin/sh', ['sh', '-c', 'echo BREACH'])", _DENIED, True),
    Attack(
        "exec what it wrote",
        "import os; f = os.open('x', os.O_CREAT | os.O_WRONLY, 0o700); os.write(f, b'#!/bin/echo BREACH\\n');"
        " os.close(f); os.execv('./x', ['x'])",
        _DENIED,
        True,
    ),
    Attack(
        "run code from memory",
        "import os; f = os.memfd_create('x', 0); os.write(f, b'#!/bin/echo BREACH\\n');"
        " os.execv(f'/proc/self/fd/{f}', ['x'])",
        _FORBIDDEN,
        True,
    ),
    Attack("tcp", "import socket; socket.create_connection(('127.0.0.1', {port})); print('BREACH')", _FORBIDDEN, True),
    Attack("unix", "import socket; socket.socket(1, 1).connect('{unix}'); print('BREACH')", _FORBIDDEN, True),
    Attack("signal the parent", "import os; os.kill(os.getppid(), 0); print('BREACH')", _FORBIDDEN, True),
    Attack("leave the session", "import os; os.fork() or (os.setsid(), print('BREACH')); os.wait()", _FORBIDDEN),
    Attack("raise a limit", "import resource as r; r.setrlimit(4, (0, 9)); print('BREACH')", "not allowed to raise"),
    Attack("sleep", "import time; time.sleep(60); print('BREACH')", "wall time"),
    Attack("endless loop", "while True: pass", "cpu time"),
    Attack("big file", "open('big', 'wb').write(bytes(80 << 20)); print('BREACH')", "File too large"),
    Attack("flood", "print('x' * (9 << 20))", "output"),
    Attack("memory", "x = bytearray(2 << 30); print('BREACH')", "MemoryError"),
    _call("new user namespace", "272, 0x10000000"),
    _call("clone into a namespace", "56, 0x10000011, 0, 0, 0, 0"),
    _call("ptrace the parent", "101, 0x4206, os.getppid(), 0, 0"),
    _call("mount", "165, b'none', b'/tmp', b'tmpfs', 0, 0"),
    _call("bpf", "321, 0, bytes(128), 128"),
    _call("perf", "298, bytes(128), 0, -1, -1, 0"),
    _call("io_uring", "425, 1, bytes(120)"),
    _call("keyring", "250, 0, -3, 1", toothed=True),
    _call("execveat", "322, -100, b'/bin/sh', 0, 0, 0"),
    _call("another's limits", "302, os.getppid(), 7, 0, bytes(16)", toothed=True),
)


@contextmanager
def open_places(folder: Path) -> Iterator[dict[str, object]]:
    """Lay out in ``folder`` what the attacks aim at, and listen there."""
    secret = folder / "secret"
    secret.write_text("TOP SECRET")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "u"))
        unix.listen(64)
        yield {"secret": secret, "folder": folder, "unix": folder / "u", "port": tcp.getsockname()[1]}


def limits_for(attack: Attack) -> Limits:
    """Return tight limits; only who sleeps is short of wall time."""
    return Limits(cpu_s=1, wall_s=0.4 if attack.evidence == "wall time" else 20, memory_mb=512, file_mb=16)


def proves(attack: Attack, seen: str) -> bool:
    """Return whether the text shows what stopped the attack; bubblewrap hides the files that Landlock denies."""
    hidden = attack.evidence == _DENIED and bool(Protections.detect().bubblewrap)
    return attack.evidence in seen or (hidden and "No such file or directory" in seen)
