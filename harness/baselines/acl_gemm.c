/* GEMM of the Arm Compute Library (NEGEMM) behind the contract's two functions, by way of acl_guest.cpp. */
#include "opw.h"
#include "opw_names.h"

const char *opw_acl_gemm(const int64_t *whole, const int64_t *mnk, const int64_t *strides, const float *a,
                         const float *b, float *c);
void opw_acl_run(void);

/* Asked once, before anything is called or timed: here ACL chooses its kernels and takes its memory. */
size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    static const int64_t whole[] = {OPW_WHOLE_M, OPW_WHOLE_N, OPW_WHOLE_K};
    const int64_t *dim = args->dim, mnk[] = {dim[OPW_DIM_M], dim[OPW_DIM_N], dim[OPW_DIM_K]};
    const int64_t strides[] = {dim[OPW_DIM_LDA], dim[OPW_DIM_LDB], dim[OPW_DIM_LDC]};
    (void)tunables;
    say("version=" OPW_VERSION " core=");
    say(opw_acl_gemm(whole, mnk, strides, args->operand[0], args->operand[1], args->operand[2]));
    return 0;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    (void)args, (void)tunables, (void)workspace;
    opw_acl_run();
    return 0;
}

const char *opw_describe(void)
{
    return description;
}
