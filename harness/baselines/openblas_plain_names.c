/* The wheel prefixes its names, and the adapter speaks to the wheel; an OpenBLAS built from source has plain ones. */
const char *openblas_get_config(void);
const char *openblas_get_corename(void);
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);

const char *scipy_openblas_get_config(void)
{
    return openblas_get_config();
}

const char *scipy_openblas_get_corename(void)
{
    return openblas_get_corename();
}

void scipy_cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                       const float *b, int ldb, float beta, float *c, int ldc)
{
    cblas_sgemm(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
