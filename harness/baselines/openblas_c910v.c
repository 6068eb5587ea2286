/* What OpenBLAS's SGEMM calls beside the files that openblas_c910v.py compiles: one buffer, taken once, and its names. */
#define BUFFER_BYTES (32UL << 20) /* BUFFER_SIZE of common_riscv64.h */

static char buffer[BUFFER_BYTES] __attribute__((aligned(1 << 14)));

void *blas_memory_alloc(int procedure)
{
    (void)procedure;
    return buffer;
}

void blas_memory_free(void *given)
{
    (void)given;
}

/* The adapter hands over what numpy would; wrong arguments are a fault of ours. */
int xerbla_(const char *name, int *argument, int length)
{
    (void)name, (void)argument, (void)length;
    __builtin_trap();
}

const char *openblas_get_config(void)
{
    return "OpenBLAS " OPENBLAS_VERSION " C910V";
}

const char *openblas_get_corename(void)
{
    return "C910V";
}
