/* What both adapters say of the library behind them; appended to each before it is compiled. */
const char *scipy_openblas_get_config(void);
const char *scipy_openblas_get_corename(void);

/* "OpenBLAS 0.3.34 ..." becomes "version=0.3.34 core=SkylakeX". */
const char *opw_describe(void)
{
    static char text[128];
    const char *parts[] = {"version=", scipy_openblas_get_config(), " core=", scipy_openblas_get_corename()};
    size_t n = 0;
    for (int i = 0; i < 4; i++) {
        const char *p = parts[i];
        if (i == 1)
            while (*p && (*p < '0' || *p > '9'))
                p++;
        while (*p && (i != 1 || *p != ' ') && n < sizeof text - 1)
            text[n++] = *p++;
    }
    return text;
}
