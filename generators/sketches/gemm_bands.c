/*
 * After a sketch of one GEMM: on several threads C is cut into a grid of bands, each a product of its own, and who is free
 * takes the next. A band packs what it needs for itself, so bands are as square as can be.
 */
#undef opw_workspace
#undef opw_run

/* Bands for each thread; rows or columns that are not cut; what bands are whole multiples of, as most micro-tiles are. */
enum { BANDS_A_THREAD = 2, LEAST_BAND = 64, BAND_STEP = 32 };

struct bands {
    const struct opw_args *args;
    const struct opw_tunables *tunables;
    int64_t rows, columns, down, across; /* of a band; bands */
    char *rooms;
    size_t room; /* bytes of one band's workspace */
    int failed;
};

static int64_t bands_of(int64_t extent, int64_t band)
{
    return band ? (extent + band - 1) / band : 1;
}

static int64_t half_band(int64_t band)
{
    return (band / 2 + BAND_STEP - 1) / BAND_STEP * BAND_STEP;
}

/* The sizes and operands of a band. */
static struct opw_args band_at(const struct bands *bands, int64_t index)
{
    struct opw_args one = *bands->args;
    int64_t *dim = one.dim, i = index / bands->across * bands->rows, j = index % bands->across * bands->columns;
    int64_t a = i * (dim[OPW_DIM_TRANS_A] ? 1 : dim[OPW_DIM_LDA]), b = j * (dim[OPW_DIM_TRANS_B] ? dim[OPW_DIM_LDB] : 1);
    one.threads = 1;
    one.operand[0] = (char *)one.operand[0] + a * OPW_FIXED_IN_BYTES;
    one.operand[1] = (char *)one.operand[1] + b * OPW_FIXED_IN_BYTES;
    one.operand[2] = (char *)one.operand[2] + (i * dim[OPW_DIM_LDC] + j) * OPW_FIXED_OUT_BYTES;
    dim[OPW_DIM_M] = dim[OPW_DIM_M] - i < bands->rows ? dim[OPW_DIM_M] - i : bands->rows;
    dim[OPW_DIM_N] = dim[OPW_DIM_N] - j < bands->columns ? dim[OPW_DIM_N] - j : bands->columns;
    return one;
}

/* The longer side is halved until there are bands enough. */
static struct bands cut(const struct opw_args *args, const struct opw_tunables *tunables)
{
    int64_t m = args->dim[OPW_DIM_M], n = args->dim[OPW_DIM_N];
    struct bands bands = {args, tunables, m, n, 1, 1, 0, 0, 0};
    while (bands.down * bands.across < BANDS_A_THREAD * args->threads && (bands.rows > LEAST_BAND || bands.columns > LEAST_BAND)) {
        if (bands.rows > LEAST_BAND && (bands.rows >= bands.columns || bands.columns <= LEAST_BAND))
            bands.rows = half_band(bands.rows);
        else
            bands.columns = half_band(bands.columns);
        bands.down = bands_of(m, bands.rows);
        bands.across = bands_of(n, bands.columns);
    }
    int64_t count = bands.down * bands.across, corner[] = {0, bands.across - 1, count - bands.across, count - 1};
    for (int i = 0; i < 4; i++) {
        struct opw_args one = band_at(&bands, corner[i]);
        size_t room = (workspace_of_one(&one, tunables) + 63) / 64 * 64;
        bands.room = room > bands.room ? room : bands.room;
    }
    return bands;
}

static void run_band(void *context, int64_t index)
{
    struct bands *bands = context;
    struct opw_args one = band_at(bands, index);
    if (run_one(&one, bands->tunables, bands->rooms + (size_t)index * bands->room))
        bands->failed = 1;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    if (args->threads <= 1)
        return workspace_of_one(args, tunables);
    struct bands bands = cut(args, tunables);
    return (size_t)(bands.down * bands.across) * bands.room;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    if (args->threads <= 1)
        return run_one(args, tunables, workspace);
    struct bands bands = cut(args, tunables);
    bands.rooms = workspace;
    args->parallel_for(bands.down * bands.across, run_band, &bands);
    return bands.failed;
}
