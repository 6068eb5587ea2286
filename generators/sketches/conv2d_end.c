/*
 * After a sketch of one GEMM: a convolution of any element type, a strip of output pixels after the other.
 *
 * NHWC: sums[pixels x filters] = columns[pixels x rsc] W^T. NCHW: sums[filters x pixels] = W columns[crs x pixels]. The
 * columns of a strip are copied out of the image with zeros for the padding; a 1x1 kernel reads the image as it lies. The
 * strip's sums get the bias and the ReLU before they are rounded, once. NHWC: W is packed once for all strips, and before
 * anything is timed where it is known ahead. With `direct` there are no columns: an image is copied with its padding, its
 * pixels are rows that overlap, and each kernel row is a band of k, which begins an image row further on; a KC block is
 * some of them. Pixels that lie in the padding are computed and left.
 * Threads share the strips of an image, which are shorter where there would not be enough of them.
 */
#undef opw_workspace
#undef opw_run

struct conv {
    int64_t images, c, h, w, f, r, s, oh, ow, stride, padding, dilation, groups, nhwc, relu;
    int64_t channels, filters, depth; /* of a group */
    int64_t pixels;                   /* that follow each other: of an image, NHWC of all */
    int64_t strip;                    /* of them at a time */
    int64_t strips, shares;           /* of those pixels; shares of the strips, some for each thread */
    int64_t pitch;                    /* elements between rows of the columns; no power of two, whose lines share few sets */
    int as_it_lies, direct;
    int64_t across; /* pixels from one output row to the next */
    const input *x, *bias;
    input *y;
};

/* The product of a strip's pixels: sizes only. */
static struct opw_args product(const struct conv *p, const struct opw_args *args, int64_t pixels)
{
    struct opw_args one = *args;
    one.dim[OPW_DIM_M] = p->nhwc ? pixels : p->filters;
    one.dim[OPW_DIM_N] = p->nhwc ? p->filters : pixels;
    one.dim[OPW_DIM_K] = p->depth;
    one.dim[OPW_DIM_LDA] = !p->nhwc ? p->depth : p->as_it_lies || p->direct ? p->c : p->pitch;
    one.dim[OPW_DIM_LDB] = p->nhwc ? p->depth : p->as_it_lies ? p->h * p->w : p->pitch;
    one.dim[OPW_DIM_LDC] = one.dim[OPW_DIM_N];
    one.dim[OPW_DIM_TRANS_A] = 0;
    one.dim[OPW_DIM_TRANS_B] = p->nhwc;
    one.scalar[0] = 1.0;
    one.scalar[1] = 0.0;
    return one;
}

static struct plan plan_for(const struct conv *p, const struct opw_args *args, const struct opw_tunables *t, int64_t pixels)
{
    struct opw_args one = product(p, args, pixels);
    struct plan plan = make_plan(&one, t);
    if (p->direct) {
        plan.band = p->s * p->c;
        plan.skip = p->across * p->c - plan.band;
        plan.kc = plan.band * balance(p->r, plan.kc / plan.band > 1 ? plan.kc / plan.band : 1, 1);
    }
    return plan;
}

enum { DIRECT_DEPTH = 64 }; /* a kernel row has to be whole steps of any sketch */

/* Whether columns may be left out, and are. */
static int direct(const struct conv *p, const struct opw_tunables *t)
{
#ifdef OPW_DIRECT
    int plain = p->nhwc && p->c && p->stride == 1 && p->dilation == 1 && p->groups == 1 && !p->as_it_lies;
    return t->value[OPW_DIRECT] && plain && p->s * p->c % DIRECT_DEPTH == 0;
#else
    (void)p, (void)t;
    return 0;
#endif
}

enum { STRIPS_A_THREAD = 2, SHARES_A_THREAD = 4 };

static struct conv conv_of(const struct opw_args *args, const struct opw_tunables *t)
{
    const int64_t *dim = args->dim;
    struct conv p = {dim[IMAGES],         dim[CHANNELS],        dim[HEIGHT],           dim[WIDTH],          dim[FILTERS],
                     dim[KERNEL_ROWS],    dim[KERNEL_COLUMNS],  dim[OPW_DIM_OH],       dim[OPW_DIM_OW],     dim[OPW_DIM_STRIDE],
                     dim[OPW_DIM_PADDING], dim[OPW_DIM_DILATION], dim[OPW_DIM_GROUPS], dim[OPW_DIM_NHWC],   dim[OPW_DIM_RELU]};
    int64_t line = 64 / (int64_t)sizeof(input);
    p.channels = p.c / p.groups;
    p.filters = p.f / p.groups;
    p.depth = p.channels * p.r * p.s;
    p.as_it_lies = p.r * p.s * p.stride == 1 && p.padding == 0;
    p.direct = direct(&p, t);
    p.across = p.direct ? p.w + 2 * p.padding : p.ow;
    p.pixels = p.oh * p.across * (p.nhwc && !p.direct ? p.images : 1);
    /* strips are whole micro-tiles: what does not fill one goes through a block of its own */
    struct plan plan = plan_for(&p, args, t, 1);
    int64_t side = p.nhwc ? plan.mr : plan.nr, strip = t->value[OPW_STRIP];
    if (args->threads > 1)
        strip = least(strip, round_up(p.pixels / (STRIPS_A_THREAD * args->threads) + 1, side));
    p.strip = p.pixels ? least(p.pixels, balance(p.pixels, strip, side)) : 1;
    p.strips = (p.pixels + p.strip - 1) / p.strip;
    p.shares = args->threads > 1 ? least(p.strips, SHARES_A_THREAD * args->threads) : 1;
    p.pitch = round_up(p.nhwc ? p.depth : p.strip, 2 * line) + line;
    p.x = args->operand[0];
    p.bias = dim[OPW_DIM_BIAS] ? args->operand[3] : 0;
    p.y = args->operand[2];
    return p;
}

static size_t room_columns(const struct conv *p)
{
    if (p->direct) /* the pixels after the last are read and lead to nothing */
        return (size_t)round_up((((p->h + 2 * p->padding) * p->across + p->s) * p->c) * (int64_t)sizeof(input), 64);
    return p->as_it_lies ? 0 : (size_t)round_up((p->nhwc ? p->strip : p->depth) * p->pitch * (int64_t)sizeof(input), 64);
}

static size_t room_strip(const struct conv *p)
{
    return (size_t)round_up(p->strip * p->filters * (int64_t)sizeof(sum), 64);
}

/* Elements of a group's packed weights; how many pixels they are multiplied with makes no difference to them. */
static int64_t room_weights(const struct conv *p, const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct plan plan = plan_for(p, args, tunables, p->strip);
    return p->nhwc ? round_up(room_b(&plan) * ((plan.n + plan.nc - 1) / plan.nc), 64) : 0;
}

static void pack_weights(const struct conv *p, const struct opw_args *args, const struct opw_tunables *tunables, packed *to)
{
    struct plan plan = plan_for(p, args, tunables, p->strip);
    const input *weights = args->operand[1];
    for (int64_t group = 0; group < p->groups; group++, to += room_weights(p, args, tunables))
        for (int64_t jc = 0; jc < plan.n; jc += plan.nc)
            pack_columns(&plan, weights + group * p->filters * p->depth, jc, to + jc / plan.nc * room_b(&plan));
}

/* Bytes of a share: its columns (an image without columns belongs to all), a strip's sums, and what the product needs. */
static size_t room_share(const struct conv *p, const struct opw_args *args, const struct opw_tunables *tunables)
{
    /* strips have one size, but for the last */
    struct plan whole = plan_for(p, args, tunables, p->strip), last = plan_for(p, args, tunables, p->pixels % p->strip);
    size_t a = room_of(&whole, tunables), b = room_of(&last, tunables);
    return (p->direct ? 0 : room_columns(p)) + room_strip(p) + ((a > b ? a : b) + 63) / 64 * 64;
}

/* Packed weights come first: they are kept. */
size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    struct conv p = conv_of(args, tunables);
    size_t weights = (size_t)(p.groups * room_weights(&p, args, tunables)) * sizeof(packed);
    return weights + (p.direct ? room_columns(&p) : 0) + (size_t)p.shares * room_share(&p, args, tunables);
}

static inline void copy_or_zero(input *restrict to, const input *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = from ? from[i] : (input)0;
}

/* An image with its padding, and as many zeros behind it as the last row reads too far. */
static void copy_image(const struct conv *p, int64_t image, input *to)
{
    int64_t side = p->padding * p->c, row = p->w * p->c;
    const input *from = p->x + image * p->h * row;
    for (int64_t y = -p->padding; y < p->h + p->padding; y++, to += 2 * side + row) {
        copy_or_zero(to, 0, side);
        copy_or_zero(to + side, y >= 0 && y < p->h ? from + y * row : 0, row);
        copy_or_zero(to + side + row, 0, side);
    }
    copy_or_zero(to, 0, p->s * p->c);
}

/* NHWC: the taps of each of some pixels, r, s, c, in a row of their own. */
static void gather_pixels(const struct conv *p, int64_t group, int64_t first, int64_t count, input *to)
{
    for (int64_t pixel = first; pixel < first + count; pixel++, to += p->pitch) {
        int64_t row = pixel / p->ow, top = row % p->oh * p->stride - p->padding, left = pixel % p->ow * p->stride - p->padding;
        const input *image = p->x + row / p->oh * p->h * p->w * p->c + group * p->channels;
        int whole = p->dilation == 1 && p->groups == 1 && left >= 0 && left + p->s <= p->w;
        int64_t taps = whole ? p->s : 1, length = taps * p->channels;
        input *at = to;
        for (int64_t i = 0; i < p->r; i++)
            for (int64_t j = 0; j < p->s; j += taps, at += length) {
                int64_t y = top + i * p->dilation, x = left + j * p->dilation;
                copy_or_zero(at, y >= 0 && y < p->h && x >= 0 && x < p->w ? image + (y * p->w + x) * p->c : 0, length);
            }
    }
}

/* What one tap sees of neighbouring pixels of one output row: zeros, elements of an image row, zeros. */
static inline void gather_row(const struct conv *p, const input *line, int64_t from, int64_t count, input *restrict to)
{
    int64_t before = from < 0 ? least(count, (p->stride - 1 - from) / p->stride) : 0;
    int64_t end = from < p->w ? least(count, (p->w - from + p->stride - 1) / p->stride) : 0;
    for (int64_t i = 0; i < count; i++)
        to[i] = line && i >= before && i < end ? line[from + i * p->stride] : (input)0;
}

/* NCHW: each tap, c, r, s, of some pixels of one image in a row of its own. */
static void gather_taps(const struct conv *p, int64_t image, int64_t group, int64_t first, int64_t count, input *to)
{
    const input *plane = p->x + (image * p->c + group * p->channels) * p->h * p->w;
    for (int64_t tap = 0; tap < p->depth; tap++, to += p->pitch) {
        int64_t down = tap / p->s % p->r * p->dilation - p->padding, across = tap % p->s * p->dilation - p->padding;
        const input *channel = plane + tap / (p->r * p->s) * p->h * p->w;
        int64_t y = first / p->ow, x = first % p->ow, run = 0;
        for (int64_t done = 0; done < count; done += run, y++, x = 0) {
            int64_t row = y * p->stride + down;
            run = least(count - done, p->ow - x);
            gather_row(p, row >= 0 && row < p->h ? channel + row * p->w : 0, x * p->stride + across, run, to + done);
        }
    }
}

static inline sum number(input stored)
{
#if OPW_FIXED_BF16
    return widen(stored);
#else
    return (sum)stored;
#endif
}

static inline input rounded(sum total, int64_t relu)
{
    total = relu && total < 0 ? 0 : total;
#if OPW_FIXED_BF16
    return narrow(total);
#else
    return (input)total;
#endif
}

/* Rows of sums get their bias and ReLU where they are. */
static void add_bias(int64_t rows, int64_t cols, int64_t pitch, const input *bias, int64_t relu, sum *restrict sums)
{
    for (int64_t i = 0; i < rows; i++, sums += pitch)
        for (int64_t j = 0; j < cols; j++) {
            sum total = bias ? sums[j] + number(bias[j]) : sums[j];
            sums[j] = relu && total < 0 ? 0 : total;
        }
}

enum { ROWS_IN_L1 = 32 };

/* NHWC: Y of neighbouring pixels; a kernel rounds the columns of whole micro-tiles, where there is one. */
static void put_pixels(const struct conv *p, const struct opw_tunables *t, int64_t nr, const input *bias, int64_t count, sum *from, input *to)
{
#ifdef OPW_KERNEL_ROUNDED
    round_rows *kernel = (round_rows *)t->kernel[OPW_KERNEL_ROUNDED];
#else
    round_rows *kernel = 0;
    (void)t;
#endif
    int64_t whole = kernel ? p->filters / nr * nr : 0;
    for (int64_t i = 0, rows; i < count; i += rows, from += rows * p->filters, to += rows * p->f) {
        rows = least(ROWS_IN_L1, count - i);
        add_bias(rows, whole, p->filters, bias, p->relu, from);
        for (int64_t j = 0; j < whole; j += nr)
            kernel(rows, from + j, p->filters * (int64_t)sizeof(sum), to + j, p->f * (int64_t)sizeof(input));
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = whole; j < p->filters; j++) {
                sum total = from[r * p->filters + j];
                to[r * p->f + j] = rounded(bias ? total + number(bias[j]) : total, p->relu);
            }
    }
}

/* NHWC: Y of a strip: all of it, or what of each row lies in the image. */
static void put_strip(const struct conv *p, const struct opw_tunables *t, int64_t nr, const input *bias, int64_t image, int64_t first,
                      int64_t count, sum *from, int64_t group)
{
    input *y = p->y + image * p->oh * p->ow * p->f + group * p->filters;
    if (!p->direct) {
        put_pixels(p, t, nr, bias, count, from, y + first * p->f);
        return;
    }
    for (int64_t q = first, run; q < first + count; q += run, from += run * p->filters) {
        int64_t row = q / p->across, x = q % p->across;
        run = least(p->across - x, first + count - q);
        put_pixels(p, t, nr, bias, least(run, p->ow - x), from, y + (row * p->ow + x) * p->f);
    }
}

/* NCHW: Y of pixels of one image, a plane for each filter. */
static void put_planes(const struct conv *p, const input *bias, int64_t count, const sum *from, input *to)
{
    for (int64_t i = 0; i < p->filters; i++, from += count, to += p->oh * p->ow) {
        sum more = bias ? number(bias[i]) : 0;
        for (int64_t j = 0; j < count; j++)
            to[j] = rounded(from[j] + more, p->relu);
    }
}

int opw_prepare(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct conv p = conv_of(args, tunables);
    if (p.nhwc)
        pack_weights(&p, args, tunables, workspace);
    return 0;
}

/* One image, or all that are one row of pixels: what its shares have in common. */
struct team {
    const struct conv *p;
    const struct opw_args *args;
    const struct opw_tunables *tunables;
    const packed *ready; /* weights of all groups */
    int64_t image;
    input *whole; /* the image with its padding, where there are no columns */
    char *rooms;
    size_t room; /* bytes of a share */
    int failed;
};

/* One group of channels of a strip of `count` pixels from `first` on. */
static int strip_of_group(const struct team *team, int64_t group, int64_t first, int64_t count, char *room)
{
    const struct conv *p = team->p;
    struct opw_args one = product(p, team->args, count);
    struct plan plan = plan_for(p, team->args, team->tunables, count);
    input *columns = (input *)room;
    sum *sums = (sum *)(room + (p->direct ? 0 : room_columns(p)));
    const input *pixels = columns, *weights = (const input *)team->args->operand[1] + group * p->filters * p->depth;
    const packed *ready = p->nhwc ? team->ready + group * room_weights(p, team->args, team->tunables) : 0;
    const input *bias = p->bias ? p->bias + group * p->filters : 0;
    if (p->direct)
        pixels = team->whole + first * p->c;
    else if (p->as_it_lies)
        pixels = p->x + (p->nhwc ? first * p->c + group * p->channels
                                 : (team->image * p->c + group * p->channels) * p->h * p->w + first);
    else if (p->nhwc)
        gather_pixels(p, group, first, count, columns);
    else
        gather_taps(p, team->image, group, first, count, columns);
    one.operand[0] = (void *)(p->nhwc ? pixels : weights);
    one.operand[1] = (void *)(p->nhwc ? weights : pixels);
    one.operand[2] = sums;
    if (run_with(plan, &one, team->tunables, ready, (char *)sums + room_strip(p)))
        return 1;
    if (p->nhwc)
        put_strip(p, team->tunables, plan.nr, bias, team->image, first, count, sums, group);
    else
        put_planes(p, bias, count, sums, p->y + (team->image * p->f + group * p->filters) * p->oh * p->ow + first);
    return 0;
}

static void share_of_strips(void *context, int64_t share)
{
    struct team *team = context;
    const struct conv *p = team->p;
    char *room = team->rooms + (size_t)share * team->room;
    for (int64_t strip = p->strips * share / p->shares; strip < p->strips * (share + 1) / p->shares; strip++)
        for (int64_t group = 0, first = strip * p->strip; group < p->groups; group++)
            if (strip_of_group(team, group, first, least(p->strip, p->pixels - first), room))
                team->failed = 1;
}

int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{
    struct conv p = conv_of(args, tunables);
    int64_t images = p.nhwc && !p.direct ? 1 : p.images;
    packed *ready = workspace;
    input *whole = (input *)(ready + p.groups * room_weights(&p, args, tunables));
    struct team team = {&p, args, tunables, ready, 0, whole, (char *)whole + (p.direct ? room_columns(&p) : 0),
                        room_share(&p, args, tunables), 0};
    if (p.nhwc && !args->dim[OPW_DIM_PREPACKED])
        pack_weights(&p, args, tunables, ready);
    for (; team.image < images && !team.failed; team.image++) {
        if (p.direct)
            copy_image(&p, team.image, whole);
        if (args->threads > 1)
            args->parallel_for(p.shares, share_of_strips, &team);
        else
            share_of_strips(&team, 0);
    }
    return team.failed;
}
