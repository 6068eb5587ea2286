static inline void zero(float *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = 0.0f;
}

static inline void copy(float *restrict to, const float *restrict from, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = from[i];
}
