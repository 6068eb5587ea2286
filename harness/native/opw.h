/* The C side of the contract (generators/CONTRACT.md): what a candidate, a vanilla answer and a baseline export. */
#ifndef OPW_H
#define OPW_H

#include <stddef.h>
#include <stdint.h>

#define OPW_MAX_OPERANDS 8
#define OPW_MAX_DIMS 24
#define OPW_MAX_SCALARS 4
#define OPW_MAX_TUNABLES 32
#define OPW_MAX_KERNELS 16

/* One call of an operator. Sizes count elements. Indices have names in opw_names.h: dim[OPW_DIM_M]. */
struct opw_args {
    void *operand[OPW_MAX_OPERANDS];
    int64_t dim[OPW_MAX_DIMS];
    double scalar[OPW_MAX_SCALARS];
    int64_t threads;
    /* The only source of parallel work: runs body(context, i) for 0 <= i < count. */
    void (*parallel_for)(int64_t count, void (*body)(void *context, int64_t i), void *context);
};

/* What the search chose: every tunable in declaration order, and the kernels by role. */
struct opw_tunables {
    int64_t value[OPW_MAX_TUNABLES];
    const void *kernel[OPW_MAX_KERNELS];
};

/* Bytes of workspace wanted; the harness allocates (64-byte aligned), guards and poisons it. */
size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables);

/* Compute; 0 when done. No allocation, no writable statics, no system calls. */
int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace);

/* Optional: rearrange the operands that the spec declares constant (prepacked weights) into the workspace, which keeps
 * them for every call that follows. Called once, before anything is timed; the other operands are null. */
int opw_prepare(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace);

/* Optional, baselines only: "version=... core=... threads=..." of the library behind the adapter. */
const char *opw_describe(void);

/* The tile that a role-`compute` kernel finishes: C[rows][cols] = alpha * panel product + beta * C. */
struct opw_tile {
    int64_t rows;
    int64_t cols;
    int64_t lda; /* elements between rows of A where A is read in place */
    int64_t ldb; /* elements between rows of B where B is read in place */
    int64_t ldc;
    float alpha;
    float beta; /* 0: C is not read */
};

/* kc steps of an MR x NR micro-tile. a: packed micro-panel [kc][MR], or rows of A; b: [kc][NR], or rows of B. */
typedef void opw_compute(int64_t kc, const void *a, const void *b, void *c, const struct opw_tile *tile);

/* Pack `valid` of WIDTH rows (or columns) for kc steps into dst[kc][WIDTH], the rest zero; ld in elements. */
typedef void opw_pack(int64_t kc, int64_t valid, const void *src, int64_t ld, void *dst);

#endif
