/* oneDNN's C interface as far as the adapters need it: handles, descriptors of plain arrays, primitives. */
#include "opw.h"
#include "opw_names.h"

typedef struct dnnl_object *handle;
struct dnnl_version {
    int major, minor, patch;
};
struct argument {
    int which;
    handle memory;
};
enum { CPU = 1, DEFAULT_FLAGS = 1, ANY_LAYOUT = 1, INFERENCE = 96, CONVOLUTION_AUTO = 3 };
enum { SOURCE = 1, RESULT = 17, WEIGHTS = 33 };
enum { QUERY_IMPLEMENTATION = 8, QUERY_SOURCE = 129, QUERY_WEIGHTS = 131, QUERY_RESULT = 133 };

const struct dnnl_version *dnnl_version(void);
int dnnl_engine_create(handle *engine, int kind, size_t index);
int dnnl_stream_create(handle *stream, handle engine, unsigned flags);
int dnnl_stream_wait(handle stream);
int dnnl_memory_desc_create_with_strides(handle *desc, int ndims, const int64_t *dims, int type, const int64_t *strides);
int dnnl_memory_desc_create_with_tag(handle *desc, int ndims, const int64_t *dims, int type, int tag);
int dnnl_memory_desc_equal(const struct dnnl_object *one, const struct dnnl_object *other);
int dnnl_memory_create(handle *memory, handle desc, handle engine, void *data);
int dnnl_primitive_desc_query(handle primitive_desc, int what, int index, void *result);
handle dnnl_primitive_desc_query_md(handle primitive_desc, int what, int index);
int dnnl_primitive_create(handle *primitive, handle primitive_desc);
int dnnl_primitive_execute(handle primitive, handle stream, int count, const struct argument *arguments);
int dnnl_reorder_primitive_desc_create(handle *primitive_desc, handle from, handle from_engine, handle to,
                                       handle to_engine, handle attributes);
int dnnl_matmul_primitive_desc_create(handle *primitive_desc, handle engine, handle source, handle weights, handle bias,
                                      handle result, handle attributes);

#define OWN_MEMORY ((void *)(size_t)-1) /* the library allocates */

static handle engine, stream;
static const char *implementation = "none", *format = "";

static int open_engine(void)
{
    return dnnl_engine_create(&engine, CPU, 0) || dnnl_stream_create(&stream, engine, DEFAULT_FLAGS);
}

/* A dtype of opw_names.h as oneDNN numbers it. */
static __attribute__((unused)) int type_of(int dtype)
{
    switch (dtype) {
    case OPW_FP16:
        return 1;
    case OPW_BF16:
        return 2;
    case OPW_INT32:
        return 4;
    case OPW_INT8:
        return 5;
    case OPW_FP64:
        return 7;
    default:
        return 3;
    }
}

/* "version=3.2.0 core=brg:avx512_core": the second is the implementation that the library chose for this problem. */
const char *opw_describe(void)
{
    const struct dnnl_version *v = dnnl_version();
    say("version=");
    say_number(v->major);
    say(".");
    say_number(v->minor);
    say(".");
    say_number(v->patch);
    say(" core=");
    say(implementation);
    say(format);
    return description;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}

#ifdef OPW_DIM_TRANS_A /* GEMM, batched or not: a matmul of plain arrays */
static handle product;
static struct argument arguments[3];

static int make_product(const struct opw_args *args, const handle desc[3])
{
    int which[3] = {SOURCE, WEIGHTS, RESULT};
    handle chosen;
    if (dnnl_matmul_primitive_desc_create(&chosen, engine, desc[0], desc[1], 0, desc[2], 0) ||
        dnnl_primitive_create(&product, chosen))
        return 1;
    for (int i = 0; i < 3; i++) {
        arguments[i].which = which[i];
        if (dnnl_memory_create(&arguments[i].memory, desc[i], engine, args->operand[i]))
            return 1;
    }
    return dnnl_primitive_desc_query(chosen, QUERY_IMPLEMENTATION, 0, &implementation);
}

static int run_product(void)
{
    return dnnl_primitive_execute(product, stream, 3, arguments) || dnnl_stream_wait(stream);
}
#endif
