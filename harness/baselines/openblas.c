/* What the OpenBLAS adapters say of the library behind them. */
const char *scipy_openblas_get_config(void);
const char *scipy_openblas_get_corename(void);

/* "OpenBLAS 0.3.34 ..." becomes "version=0.3.34 core=SkylakeX". */
const char *opw_describe(void)
{
    const char *p = scipy_openblas_get_config();
    while (*p && (*p < '0' || *p > '9'))
        p++;
    say("version=");
    for (; *p && *p != ' '; p++)
        say((char[]){*p, 0});
    say(" core=");
    say(scipy_openblas_get_corename());
    return description;
}
