"""
A stand-in for the device process where no GPU is: it speaks the protocol of `harness.cuda.device` and multiplies on the host.

Run as `python pretend_gpu.py ...` in the place of that module. Launches are taken for fp32 products, with the arguments A,
B, C, m, n, k, lda, ldb, ldc, alpha, beta. What a kernel does is told by its name: ``short_*`` leaves the last step of k
out, ``dies_*`` ends the process, ``hangs_*`` never returns, ``stranger_*`` ends it where it is opened; ``NUMBER`` at the end is the microseconds that a call takes.
"""

import json
import os
import sys
import time

import numpy as np

PROPERTIES = {"name": "NVIDIA H100 80GB HBM3", "sms": 132}
sessions: dict[int, dict] = {}


def matrix(data: np.memmap, operand: dict, rows: int, columns: int, stride: int) -> np.ndarray:
    """View an operand as rows of a stride."""
    flat = data[operand["offset"] : operand["offset"] + operand["bytes"]].view(np.float32)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (4 * stride, 4))


def call(request: dict) -> dict:
    """Multiply what lies in the arena."""
    session = sessions[request["slot"]]
    act(session["name"])
    for launch in session["plan"]["launches"]:
        m, n, k, lda, ldb, ldc, alpha, beta = (value for kind, value in launch["args"] if kind in ("int", "float"))
        data = np.memmap(session["problem"]["arena"], np.uint8, "r+")
        a, b, c = session["problem"]["operands"]
        steps = k - 1 if session["name"].startswith("short_") else k
        with np.errstate(invalid="ignore", over="ignore"):
            product = matrix(data, a, m, k, lda)[:, :steps] @ matrix(data, b, k, n, ldb)[:steps]
            out = matrix(data, c, m, n, ldc)
            out[...] = alpha * product + (beta * out if beta else 0)
    return {"harm": ""}


def matches(request: dict) -> dict:
    """Say whether two sessions would agree: all that do not leave something out do."""
    mine, other = (sessions[request[key]]["name"] for key in ("slot", "other"))
    act(mine)
    return {"differ": int(mine.startswith("short_") != other.startswith("short_")), "first": 0, "harm": ""}


def timed(request: dict) -> dict:
    """Take the time that the kernel's name tells."""
    seconds = float(sessions[request["slot"]]["name"].rsplit("_", 1)[1]) * 1e-6
    return {"samples": [seconds] * request["samples"], "calls": 1, "sensors": {}}


def act(name: str) -> None:
    """End or hang where the name says so."""
    if name.startswith("dies_"):
        os._exit(3)
    while name.startswith("hangs_"):
        time.sleep(1)


def opened(request: dict) -> dict:
    """Keep what a session runs."""
    name, _ = next(iter(request["modules"].values()), ("none_1", ""))  # nothing is launched for an empty output
    if name.startswith("stranger_"):
        os._exit(4)
    sessions[request["slot"]] = {"name": name, "plan": request["plan"], "problem": request["problem"]}
    return {"describe": "", "workspace_bytes": 0}


ANSWERS = {
    "hello": lambda _: {"properties": PROPERTIES, "sensors": {}},
    "open": opened,
    "call": call,
    "matches": matches,
    "time": timed,
    "close": lambda request: {"closed": bool(sessions.pop(request["slot"]))},
}

if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            reply = {"status": "ok", **ANSWERS[asked["op"]](asked)}
        except Exception as error:
            reply = {"status": "error", "where": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
