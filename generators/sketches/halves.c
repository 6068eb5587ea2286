/* bf16 as it is stored, and fp32: part of sketches that convert. */
#include "opw.h"

static inline float widen(uint16_t bits)
{
    union {
        uint32_t bits;
        float value;
    } x = {(uint32_t)bits << 16};
    return x.value;
}

static inline uint16_t narrow(float value)
{
    union {
        float value;
        uint32_t bits;
    } x = {value};
    /* one shift for both, so that a vector of them is cut down once */
    uint32_t rounded = x.bits + 0x7FFF + (x.bits >> 16 & 1), quiet = x.bits | 0x400000;
    return (uint16_t)((value != value ? quiet : rounded) >> 16);
}
