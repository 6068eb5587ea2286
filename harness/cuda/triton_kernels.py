"""
GEMM as one writes it in Triton: tiles by pointers, and (Hopper) persistent tiles by tensor descriptors.

Imported where Triton is, in the device process only; `harness.baselines.triton_gemm` chooses among the configurations.
"""

import triton
import triton.language as tl


@triton.jit
def tile_of(t, tiles_m, tiles_n, group: tl.constexpr):
    """Return the tile's place; group rows of tiles are walked together, so that operands stay in L2."""
    first = t // (group * tiles_n) * group
    size = min(tiles_m - first, group)
    rest = t % (group * tiles_n)
    return first + rest % size, rest // size


@triton.jit
def by_pointers(
    a, b, c, m, n, k, a_m, a_k, b_k, b_n, ldc, alpha, beta,
    bm: tl.constexpr, bn: tl.constexpr, bk: tl.constexpr, group: tl.constexpr, read: tl.constexpr,
):  # fmt: skip
    """C = alpha A B + beta C, one tile a program; strides in elements; read: beta is not 0."""
    x, y = tile_of(tl.program_id(0), tl.cdiv(m, bm), tl.cdiv(n, bn), group)
    rows, columns, ks = x * bm + tl.arange(0, bm), y * bn + tl.arange(0, bn), tl.arange(0, bk)
    from_a = a + (rows % m)[:, None].to(tl.int64) * a_m + ks[None, :] * a_k
    from_b = b + ks[:, None] * b_k + (columns % n)[None, :].to(tl.int64) * b_n
    sums = tl.zeros((bm, bn), dtype=tl.float32)
    for step in range(tl.cdiv(k, bk)):
        left = k - step * bk
        u = tl.load(from_a, mask=ks[None, :] < left, other=0.0)
        v = tl.load(from_b, mask=ks[:, None] < left, other=0.0)
        sums = tl.dot(u, v, sums)
        from_a += bk * a_k
        from_b += bk * b_k
    to = c + rows[:, None].to(tl.int64) * ldc + columns[None, :]
    inside = (rows < m)[:, None] & (columns < n)[None, :]
    sums *= alpha
    if read:
        sums += beta * tl.load(to, mask=inside, other=0.0).to(tl.float32)
    tl.store(to, sums.to(c.dtype.element_ty), mask=inside)


@triton.jit
def by_descriptors(
    a, b, c, m, n, k, alpha, programs,
    bm: tl.constexpr, bn: tl.constexpr, bk: tl.constexpr, group: tl.constexpr, trans_a: tl.constexpr, trans_b: tl.constexpr,
):  # fmt: skip
    """C = alpha A B, persistent; operands are tensor descriptors of what lies in memory."""
    tiles_m, tiles_n = tl.cdiv(m, bm), tl.cdiv(n, bn)
    for t in tl.range(tl.program_id(0), tiles_m * tiles_n, programs, flatten=True):
        x, y = tile_of(t, tiles_m, tiles_n, group)
        sums = tl.zeros((bm, bn), dtype=tl.float32)
        for step in range(tl.cdiv(k, bk)):
            u = a.load([step * bk, x * bm]).T if trans_a else a.load([x * bm, step * bk])
            v = b.load([y * bn, step * bk]).T if trans_b else b.load([step * bk, y * bn])
            sums = tl.dot(u, v, sums)
        c.store([x * bm, y * bn], (alpha * sums).to(c.dtype))
