/*
 * Goes before every adapter. Beside the contract's two functions an adapter may export
 *   int opw_begin(const struct opw_args *)   what an expert does once for many calls of this size (code for it, weights
 *                                            that the spec declares constant into the library's own format): called
 *                                            once, when the operands hold their values, and never timed; 0 when done
 *   const char *opw_describe(void)           "version=... core=..." of the library, asked after opw_begin
 */
static char description[200];
static int described;

static __attribute__((unused)) void say(const char *text)
{
    while (*text && described < (int)sizeof description - 1)
        description[described++] = *text++;
}

static __attribute__((unused)) void say_number(int value)
{
    char digits[12];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count && described < (int)sizeof description - 1)
        description[described++] = digits[--count];
}
