/*
 * Before a sketch of one GEMM: its functions compute strips of a convolution, with sums that are not rounded (conv2d_end.c
 * calls them). What the convolution calls its sizes stands here under other names, since a GEMM has an `n`, too.
 */
#include "opw.h"
#include "opw_names.h"

enum {
    IMAGES = OPW_DIM_N,
    CHANNELS = OPW_DIM_C,
    HEIGHT = OPW_DIM_H,
    WIDTH = OPW_DIM_W,
    FILTERS = OPW_DIM_F,
    KERNEL_ROWS = OPW_DIM_R,
    KERNEL_COLUMNS = OPW_DIM_S
};
#undef OPW_DIM_N
#define OPW_DIM_M 0
#define OPW_DIM_N 1
#define OPW_DIM_K 2
#define OPW_DIM_LDA 3
#define OPW_DIM_LDB 4
#define OPW_DIM_LDC 5
#define OPW_DIM_TRANS_A 6
#define OPW_DIM_TRANS_B 7
#undef OPW_FIXED_OUT_FP32
#define OPW_FIXED_OUT_FP32 1
#define opw_workspace workspace_of_one
#define opw_run run_one
