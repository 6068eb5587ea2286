/*
 * The interpreter: threaded code over the decoded instructions. Built twice from this file, functional and timed;
 * what an instruction does stands in its table, what the two builds make of it stands here.
 */
#include "rv64.h"

static int64_t divide(int64_t a, int64_t b)
{
    return b == 0 ? -1 : a == INT64_MIN && b == -1 ? a : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b)
{
    return b == 0 ? a : a == INT64_MIN && b == -1 ? 0 : a % b;
}

/* The length that vsetvl asks for: rs1, or all there are for x0; with rd also x0, version 1.0 keeps the length. */
static uint64_t wanted_length(const struct insn *insn)
{
    if (insn->rs1)
        return hart.x[insn->rs1];
    return insn->rd == 32 && machine.version == VECTOR_1_0 ? hart.vl : ~0ULL;
}

#define TIMED 0
#define RUN run_functional
#include "rv64_loop.h"
#undef TIMED
#undef RUN

#define TIMED 1
#define RUN run_timed
#include "rv64_loop.h"
