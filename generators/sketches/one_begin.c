/* Before a sketch of one GEMM: its two functions compute one of several (batched_end.c and gemm_bands.c call them). */
#include "opw.h"
#include "opw_names.h"

#define opw_workspace workspace_of_one
#define opw_run run_one
