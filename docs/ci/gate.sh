#!/usr/bin/env bash
# Gate a change: tune and measure the base, then the head in turns with the base's machine code, on this machine.
#
#   docs/ci/gate.sh BASE_REVISION [pytest's selection]          as in: docs/ci/gate.sh origin/main -k "host and gemm"
#
# Both revisions share one store, so the head takes over the base's tuned parameters and what differs is the code.
# Exit status: the gate's (0 passed, 1 SLOW or a failing test, 6 NOT MEASURED, 7 reference refused).
# gate.md is the comment for the pull request, history.jsonl goes on from run to run.
set -euo pipefail
base=$1
shift
python=${PYTHON:-python3}
export OPWRIGHT_STORE=${OPWRIGHT_STORE:-$PWD/.opwright}
checkout=$(mktemp -d)
trap 'git worktree remove --force "$checkout/base" || true; rm -rf "$checkout"' EXIT

git worktree add --detach "$checkout/base" "$base"
[ -f history.jsonl ] && "$python" -m reports merge history.jsonl
(cd "$checkout/base" && "$python" -m pytest suites/test_throughput.py -p no:xdist "$@")
reference=$("$python" -m reports list | sed -n 2p | awk '{print $NF}')

status=0
"$python" -m pytest suites/test_throughput.py -p no:xdist --gate "$reference" "$@" || status=$?
"$python" -m reports gate "$reference" last --markdown > gate.md || true
"$python" -m reports html --out report.html
"$python" -m reports records >> history.jsonl
exit "$status"
