/* Before a sketch of one GEMM: its two functions compute one matrix of a batch (batched_end.c calls them). */
#include "opw.h"
#include "opw_names.h"

#define opw_workspace workspace_of_one
#define opw_run run_one
