/*
 * Convolution as im2col and SGEMM of OpenBLAS, image by image, behind the contract's two functions.
 * A 1x1 convolution with stride 1 and no padding needs no columns: X is the matrix, as an expert would use it.
 */
#include "opw.h"
#include "opw_names.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

void scipy_cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
                       const float *b, int ldb, float beta, float *c, int ldc);

struct shape {
    int64_t n, c, h, w, f, r, s, stride, padding, dilation, oh, ow, nhwc, groups, bias, relu;
    int64_t channels, filters; /* of one group */
};

static struct shape read_shape(const struct opw_args *args)
{
    const int64_t *dim = args->dim;
    struct shape p = {dim[OPW_DIM_N],      dim[OPW_DIM_C],       dim[OPW_DIM_H],        dim[OPW_DIM_W], dim[OPW_DIM_F],
                      dim[OPW_DIM_R],      dim[OPW_DIM_S],       dim[OPW_DIM_STRIDE],   dim[OPW_DIM_PADDING],
                      dim[OPW_DIM_DILATION], dim[OPW_DIM_OH],    dim[OPW_DIM_OW],       dim[OPW_DIM_NHWC],
                      dim[OPW_DIM_GROUPS], dim[OPW_DIM_BIAS],    dim[OPW_DIM_RELU],     0, 0};
    p.channels = p.c / p.groups;
    p.filters = p.f / p.groups;
    return p;
}

static int is_matrix(const struct shape *p)
{
    return p->r == 1 && p->s == 1 && p->stride == 1 && p->padding == 0;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct shape p = read_shape(args);
    (void)tunables;
    return is_matrix(&p) ? 0 : (size_t)(p.channels * p.r * p.s * p.oh * p.ow) * sizeof(float);
}

/* One output row of one filter tap, NCHW: columns that fall into the padding are zero. */
static void gather_row(const struct shape *p, const float *row, int64_t s, float *to)
{
    for (int64_t x = 0; x < p->ow; x++) {
        int64_t at = x * p->stride + s * p->dilation - p->padding;
        to[x] = row && at >= 0 && at < p->w ? row[at] : 0.0f;
    }
}

/* NCHW: columns[c][r][s][oh][ow]. */
static void columns_nchw(const struct shape *p, const float *image, float *to)
{
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t r = 0; r < p->r; r++)
            for (int64_t s = 0; s < p->s; s++)
                for (int64_t y = 0; y < p->oh; y++, to += p->ow) {
                    int64_t at = y * p->stride + r * p->dilation - p->padding;
                    const float *row = at >= 0 && at < p->h ? image + (c * p->h + at) * p->w : 0;
                    gather_row(p, row, s, to);
                }
}

/* NHWC: columns[oh][ow][r][s][c]. */
static void columns_nhwc(const struct shape *p, const float *image, float *to)
{
    for (int64_t y = 0; y < p->oh; y++)
        for (int64_t x = 0; x < p->ow; x++)
            for (int64_t r = 0; r < p->r; r++)
                for (int64_t s = 0; s < p->s; s++, to += p->channels) {
                    int64_t row = y * p->stride + r * p->dilation - p->padding;
                    int64_t column = x * p->stride + s * p->dilation - p->padding;
                    int inside = row >= 0 && row < p->h && column >= 0 && column < p->w;
                    const float *from = image + (row * p->w + column) * p->c;
                    for (int64_t c = 0; c < p->channels; c++)
                        to[c] = inside ? from[c] : 0.0f;
                }
}

/* Bias and ReLU over one image, as a framework calls them after the product. */
static void finish(const struct shape *p, const float *bias, float *y)
{
    int64_t pixels = p->oh * p->ow, across = p->nhwc ? p->f : pixels;
    for (int64_t i = 0; (bias || p->relu) && i < (p->nhwc ? pixels : p->f); i++, y += across)
        for (int64_t j = 0; j < across; j++) {
            float sum = bias ? y[j] + bias[p->nhwc ? j : i] : y[j];
            y[j] = p->relu && sum < 0.0f ? 0.0f : sum;
        }
}

/* One group of channels of one image. */
static void product(const struct shape *p, const float *x, const float *weights, float *y, float *workspace)
{
    int pixels = (int)(p->oh * p->ow), depth = (int)(p->channels * p->r * p->s), filters = (int)p->filters;
    int matrix = is_matrix(p), row = matrix ? (int)p->c : depth;
    if (!matrix)
        (p->nhwc ? columns_nhwc : columns_nchw)(p, x, workspace);
    const float *columns = matrix ? x : workspace;
    if (p->nhwc)
        scipy_cblas_sgemm(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, pixels, filters, depth, 1.0f, columns, row, weights, depth,
                          0.0f, y, (int)p->f);
    else
        scipy_cblas_sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, filters, pixels, depth, 1.0f, weights, depth, columns,
                          pixels, 0.0f, y, pixels);
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct shape p = read_shape(args);
    int64_t plane = p.nhwc ? 1 : p.h * p.w, result = p.nhwc ? 1 : p.oh * p.ow;
    (void)tunables;
    for (int64_t image = 0; image < p.n; image++) {
        const float *x = (const float *)args->operand[0] + image * p.c * p.h * p.w;
        const float *weights = args->operand[1];
        float *y = (float *)args->operand[2] + image * p.f * p.oh * p.ow;
        for (int64_t group = 0; group < p.groups; group++)
            product(&p, x + group * p.channels * plane, weights + group * p.filters * p.channels * p.r * p.s,
                    y + group * p.filters * result, workspace);
        finish(&p, p.bias ? args->operand[3] : 0, y);
    }
    return 0;
}
