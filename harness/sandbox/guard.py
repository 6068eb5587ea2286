"""
Shut this process in, then run one kernel script or a list of toolchain commands in it.

    python -P -s -S -B guard.py CONFIG READY        one run
    python -P -s -S -B guard.py SOCKET              a fork of this process for each run that is asked for

Standalone, standard library only, mechanism only: the descriptor CONFIG holds the limits, rules and filter (a
marshalled mapping that `launcher` made; json would cost half as much again as everything else here).
Order: limits, capabilities, no new privileges, Landlock, seccomp; then one byte on the descriptor READY says that the
guard stands, and only then does foreign text run. Without that byte nothing ran.
"""

import ctypes
import marshal
import os
import resource
import select
import struct
import sys
import time

SCRIPT = "kernel_script.py"
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SIGKILL, SIGPIPE, SIGXFSZ = 9, 13, 25
LANDLOCK_CREATE, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT = 444, 445, 446

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def checked(step, result):
    """Return a system call's result; end the process where it failed, for a guard with a hole is none."""
    if result < 0:
        sys.exit(f"{step}: {os.strerror(ctypes.get_errno())}")
    return result


def limit(limits):
    """Set resource limits, given as (resource, soft, hard)."""
    for which, soft, hard in limits:
        resource.setrlimit(which, (soft, hard))


def drop_privileges():
    """Give up every capability (root could raise its limits again), and the way back to them through execve."""
    version_3_of_this_thread = struct.pack("Ii", 0x20080522, 0)
    checked("capset", libc.capset(version_3_of_this_thread, bytes(24)))
    checked("no_new_privs", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def confine_files(ruleset, rules):
    """Enter a Landlock domain; ``rules`` are (path, rights)."""
    size = ctypes.c_size_t(len(ruleset))
    domain = checked("landlock ruleset", libc.syscall(LANDLOCK_CREATE, ruleset, size, ctypes.c_uint32(0)))
    for path, rights in rules:
        at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        beneath = struct.pack("<Qi", rights, at)
        checked(f"landlock rule {path}", libc.syscall(LANDLOCK_ADD_RULE, domain, 1, beneath, ctypes.c_uint32(0)))
        os.close(at)
    checked("landlock", libc.syscall(LANDLOCK_RESTRICT, domain, ctypes.c_uint32(0)))
    os.close(domain)


def filter_system_calls(program):
    """Install a seccomp filter for good."""
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    checked("seccomp", libc.prctl(PR_SET_SECCOMP, 2, header, 0, 0))


def run_script():
    """Run the script of the working directory as ``__main__``; its tracebacks do not show the guard."""
    with open(SCRIPT, "rb") as file:  # noqa: PTH123 (pathlib would cost 4 ms a start)
        source = file.read()
    sys.argv[:] = [SCRIPT]
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    try:
        exec(compile(source, SCRIPT, "exec"), module.__dict__)
    except Exception as error:
        below_the_guard = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(below_the_guard), below_the_guard)
        sys.exit(1)


def start(command, environment):
    """Fork and execute one command; return its process id and the read ends of its stdout and stderr."""
    stdout, stderr = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
            for number in (SIGPIPE, SIGXFSZ):  # Python ignores them, and execve would hand that on
                libc.signal(number, None)
            os.dup2(stdout[1], 1)
            os.dup2(stderr[1], 2)
            os.execve(command[0], command, environment)
        except OSError as error:
            os.write(2, f"cannot start {command[0]}: {error.strerror}".encode())
        finally:
            os._exit(127)
    os.close(stdout[1])
    os.close(stderr[1])
    return child, stdout[0], stderr[0]


def collect(streams, most):
    """Read streams to their ends; return what each held, at most ``most`` bytes of it, and the bytes read in all."""
    held = dict.fromkeys(streams, b"")
    total = 0
    watch = select.poll()
    for stream in streams:
        watch.register(stream, select.POLLIN)
    open_streams = set(streams)
    while open_streams:
        for stream, _ in watch.poll():
            data = os.read(stream, 1 << 16)
            held[stream] += data[: most - len(held[stream])]
            total += len(data)
            if not data:
                watch.unregister(stream)
                open_streams.remove(stream)
                os.close(stream)
    return [held[stream] for stream in streams], total


def run_commands(commands, environment, output_bytes):
    """Run commands until one fails; report each as a header line, then what it printed."""
    for command in commands:
        began = time.perf_counter()
        child, *streams = start(command, environment)
        (stdout, stderr), printed = collect(streams, output_bytes)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        seconds = time.perf_counter() - began
        header = f"{status} {seconds:.6f} {printed} {len(stdout)} {len(stderr)}\n"
        sys.stdout.buffer.write(header.encode() + stdout + stderr)
        sys.stdout.buffer.flush()
        if status:
            break


def serve(asked):
    """
    Fork a process for each message on a socket that brings a directory, an environment and five descriptors.

    The answer is its number; a message that is a number is answered with that process's exit status. Return the
    descriptors of configuration and readiness in each fork, and None in this process when nobody asks any more.
    """
    import json  # what every kernel script begins with: imported here, it is in every fork
    import socket

    del json
    with socket.socket(fileno=asked) as requests:
        while True:
            message, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 5)
            if not message:
                return None
            if not descriptors:
                status = os.waitstatus_to_exitcode(os.waitpid(int(message), 0)[1])
                requests.send(str(status).encode())
            elif child := os.fork():
                for descriptor in descriptors:
                    os.close(descriptor)
                requests.send(str(child).encode())
            else:
                return settle(*marshal.loads(message), descriptors)


def settle(home, environment, descriptors):
    """Become the process that was asked for; return the descriptors of its configuration and readiness."""
    os.setsid()
    for stream, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.chdir(home)
    os.environ.clear()
    os.environ.update(environment)
    return descriptors[3:]


def main():
    """Shut in and run what one configuration names, or serve."""
    given = [int(word) for word in sys.argv[1:]]
    descriptors = given if len(given) > 1 else serve(*given)
    if descriptors:
        run(*descriptors)


def run(source, ready):
    """Install what the configuration holds, then run what it names."""
    config = marshal.loads(os.read(source, os.fstat(source).st_size))
    os.close(source)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    limit(config["limits"])
    drop_privileges()
    if config["ruleset"]:
        confine_files(config["ruleset"], config["rules"])
    if config["filter"]:
        filter_system_calls(config["filter"])
    os.write(ready, b"1")
    os.close(ready)
    if config["commands"]:
        run_commands(config["commands"], config["environment"], config["output_bytes"])
    else:
        run_script()


if __name__ == "__main__":
    main()
