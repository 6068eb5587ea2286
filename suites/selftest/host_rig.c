/* Calls what was written beside it through the checking trampoline: a line for each says what it left changed, and its result. */
#include "worker.h"

#include <stdio.h>

const char *stage = "rig";
struct trial {
    const char *name;
    const void *body;
};
extern const struct trial trials[];

int main(void)
{
    for (const struct trial *one = trials; one->name; one++) {
        int64_t returned = 0;
        int broken = guarded_call(one->body, NULL, NULL, NULL, &returned);
        printf("%s: %s, %lld\n", one->name, broken_register(broken), (long long)returned);
    }
    return 0;
}
