/* What the MKL adapters share: no workspace, and what they say of the library. */
#include "opw.h"
#include "opw_names.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

static const char *kind = ""; /* of code, behind the name of the processor */

struct mkl_version {
    int major, minor, update;
    const char *status, *build, *processor, *platform;
};

void mkl_get_version(struct mkl_version *version);

/* "version=2026.0.2 core=AVX-512+DL-Boost": the second is what MKL found on this processor, or was told to stay below. */
const char *opw_describe(void)
{
    struct mkl_version v;
    mkl_get_version(&v);
    say("version=");
    say_number(v.major);
    say(".");
    say_number(v.minor);
    say(".");
    say_number(v.update);
    say(" core=");
    /* "Intel(R) Advanced Vector Extensions 512 (Intel(R) AVX-512) with ... (Intel(R) DL Boost)": the names in parentheses */
    int names = 0;
    for (const char *p = v.processor; *p; p++)
        if (p[0] == '(' && p[1] == 'I') {
            if (names++)
                say("+");
            for (p += 10; *p && *p != ')'; p++)
                say((char[]){*p == ' ' ? '-' : *p, 0});
        }
    if (!names) /* "Intel(R) Architecture processors": it is not one of Intel's */
        say("generic");
    say(kind);
    return description;
}

size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables)
{
    (void)args, (void)tunables;
    return 0;
}
