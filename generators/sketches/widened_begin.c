/* Before a sketch of an fp32 convolution: its functions compute some images that have been widened (widened_end.c). */
#define opw_workspace workspace_of_one
#define opw_prepare prepare_one
#define opw_run run_one
