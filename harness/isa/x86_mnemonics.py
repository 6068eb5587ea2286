"""
What each x86-64 mnemonic does with its operands: the tables behind `harness.isa.x86`.

Operand order is Intel's, destination first. Every claim here is executed and checked on the machine that runs the
tests (suites/selftest/test_isa_x86.py), for each operand form that the assembler accepts. Source: Intel SDM volume 2.
Left out on purpose, and so barriers: whatever changes MXCSR, the stack, tile configuration or a segment, string
instructions, `div` (it can fault), and bit tests that index memory by a register.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

FLAGS = frozenset({"flags"})
NONE: frozenset[str] = frozenset()


class Form(StrEnum):
    """Mnemonics that treat operands in a way of their own."""

    PLAIN = "plain"
    ADDRESS = "address"
    """`lea`: a memory operand that is not accessed."""
    PREFETCH = "prefetch"
    GATHER = "gather"
    """The mask, an operand or ``{k}``, is cleared as lanes complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What becomes of the leading operands (``w`` written, ``u`` updated; the rest are read), and implied registers."""

    leading: str
    reads: frozenset[str] = NONE
    writes: frozenset[str] = NONE
    form: Form = Form.PLAIN


def expand(patterns: str) -> list[str]:
    """Expand shell braces: ``v{add,mul}{ps,pd}`` names four mnemonics."""
    names = []
    for pattern in patterns.split():
        parts = [part.split(",") if i % 2 else [part] for i, part in enumerate(re.split(r"[{}]", pattern))]
        names += ["".join(choice) for choice in product(*parts)]
    return names


VECTOR_WRITE = """
    v{add,sub,mul,div,min,max,sqrt}{ps,pd,ss,sd,ph,sh} v{rcp,rsqrt}{ps,ss,ph,sh} v{rcp14,rsqrt14}{ps,pd,ss,sd}
    v{and,andn,or,xor}{ps,pd} vp{and,andn,or,xor}{,d,q} v{hadd,hsub,addsub}{ps,pd} vdpp{s,d}
    v{scalef,getexp,getmant,rndscale,reduce}{ps,pd,ss,sd,ph,sh} vrange{ps,pd,ss,sd} vround{ps,pd,ss,sd}
    vp{add,sub}{b,w,d,q} vp{adds,subs,addus,subus}{b,w} vp{hadd,hsub}{w,d} vpmul{lw,ld,lq,hw,huw,hrsw,dq,udq}
    vpmadd{wd,ubsw} vpabs{b,w,d,q} vp{min,max}{s,u}{b,w,d,q} vpavg{b,w} vpsadbw vpsign{b,w,d} vpmultishiftqb
    vps{ll,rl}{w,d,q,dq} vpsra{w,d,q} vps{ll,rl,ra}v{w,d,q} vpro{l,r}{,v}{d,q} vpsh{l,r}d{w,d,q}
    vpcmp{eq,gt}{b,w,d,q} vpcmp{,u}{b,w,d,q} vpcmp{lt,le,neq,nlt,nle}{,u}{b,w,d,q} vp{testm,testnm}{b,w,d,q}
    vcmp{,eq,lt,le,unord,neq,nlt,nle,ord,ge,gt}{ps,pd,ss,sd,ph,sh}
    vmov{aps,apd,ups,upd,dqa,dqu,ss,sd,sh,d,q,w,ntps,ntpd,ntdq,ntdqa} vmov{dqa,dqu}{32,64} vmovdqu{8,16} vlddqu
    vmov{l,h}{ps,pd} vmov{hl,lh}ps vmovs{l,h}dup vmovddup vmovmsk{ps,pd} vpmovmskb vmaskmov{ps,pd} vpmaskmov{d,q}
    vbroadcast{ss,sd,f128,i128} vbroadcast{f,i}{32x2,32x4,64x2,32x8,64x4} vpbroadcast{b,w,d,q} vpbroadcastm{b2q,w2d}
    v{insert,extract}{f,i}{128,32x4,64x2,32x8,64x4} v{insert,extract}ps vp{insr,extr}{b,w,d,q}
    vunpck{l,h}{ps,pd} vpunpck{l,h}{bw,wd,dq,qdq} vshuf{ps,pd} vshuf{f,i}{32x4,64x2} vpshuf{b,d,hw,lw}
    vpermil{ps,pd} vperm2{f,i}128 vperm{b,w,d,q,ps,pd} valign{d,q} vpalignr vdbpsadbw
    vblend{ps,pd} vpblend{w,d} vblendv{ps,pd} vpblendvb vblendm{ps,pd} vpblendm{b,w,d,q}
    v{compress,expand}{ps,pd} vp{compress,expand}{b,w,d,q} vpmov{s,z}x{bw,bd,bq,wd,wq,dq}
    vpmov{,s,us}{wb,db,dw,qb,qw,qd} vpack{ss,us}{wb,dw} vpmov{b,w,d,q}2m vpmovm2{b,w,d,q}
    vcvt{,t}ps2{dq,qq,udq,uqq} vcvt{,t}pd2{dq,qq,udq,uqq} vcvtps2pd vcvtpd2ps vcvt{dq,udq,qq,uqq}2{ps,pd} vcvtps2ph
    vcvtph2ps vcvtph2psx vcvtps2phx vcvt{,t}{ss,sd}2{si,usi} vcvt{si,usi}2{ss,sd} vcvtss2sd vcvtsd2ss
    vcvtne2ps2bf16 vcvtneps2bf16 vcvtph2pd vcvtpd2ph vcvt{,t}ph2{w,uw,dq,udq} vcvt{w,uw,dq,udq}2ph vcvts{h2ss,s2sh}
    vpopcnt{b,w,d,q} vplzcnt{d,q} vpconflict{d,q} kmov{b,w,d,q} k{and,andn,or,xor,xnor,add}{b,w,d,q} knot{b,w,d,q}
    kshift{l,r}{b,w,d,q} kunpck{bw,wd,dq} tilezero tileloadd tileloaddt1 tilestored
"""
VECTOR_UPDATE = """
    v{fmadd,fmsub,fnmadd,fnmsub}{132,213,231}{ps,pd,ss,sd,ph,sh} v{fmaddsub,fmsubadd}{132,213,231}{ps,pd,ph}
    vperm{t2,i2}{b,w,d,q,ps,pd} vpdp{busd,busds,wssd,wssds} vdpbf16ps vpmadd52{l,h}uq vpternlog{d,q}
    vfixupimm{ps,pd,ss,sd} vpsh{l,r}dv{w,d,q} tdpb{ssd,sud,usd,uud} tdp{bf16,fp16}ps
"""
VECTOR_COMPARE = "vptest vtest{ps,pd} v{u,}comi{ss,sd,sh} kortest{b,w,d,q} ktest{b,w,d,q}"
GATHERS = "vgather{d,q}{ps,pd} vpgather{d,q}{d,q}"
SCATTERS = "vscatter{d,q}{ps,pd} vpscatter{d,q}{d,q}"
PREFETCHES = "prefetch{t0,t1,t2,nta,w,wt1}"

SCALAR_WRITE = "mov movabs movzx movsx movsxd pdep pext rorx sarx shlx shrx movbe movnti"
SCALAR_WRITE_FLAGS = "popcnt andn blsi blsr blsmsk bextr bzhi"
SCALAR_WRITE_FLAGS_PARTLY = "lzcnt tzcnt"
"""Flags that the manual leaves undefined: Intel's processors write them, AMD's leave them as they were. So of mul and imul."""
SCALAR_UPDATE = "not bswap"
SCALAR_UPDATE_FLAGS = "add sub and or xor neg"
SCALAR_UPDATE_FLAGS_PARTLY = "adc sbb inc dec sh{l,r} sal sar ro{l,r} adcx adox bs{f,r} imul"
SCALAR_COMPARE = "cmp test"
CONDITIONS = "{a,ae,b,be,c,e,g,ge,l,le,na,nae,nb,nbe,nc,ne,ng,nge,nl,nle,no,np,ns,nz,o,p,pe,po,s,z}"

CONTROL = frozenset(expand(f"j{CONDITIONS} jmp jcxz jecxz jrcxz loop loope loopne loopz loopnz"))
CALLS = frozenset(expand("call ret retq iret iretq syscall sysenter sysexit sysret int int3 into ud0 ud1 ud2 hlt"))

CANCELLING = frozenset(
    name.removeprefix("v")
    for name in expand("xor sub vpxor{,d,q} vxor{ps,pd} vpsub{b,w,d,q} vpcmpeq{b,w,d,q} k{xor,xnor}{b,w,d,q}")
)
"""Of one register with itself these give all zeros or all ones, whatever it holds; ``v`` stripped for legacy SSE."""

_ALL_VECTORS = frozenset(f"v{n}" for n in range(16))


def _table() -> dict[str, Effect]:
    rows = [
        (VECTOR_WRITE, Effect(leading="w")),
        (VECTOR_UPDATE, Effect(leading="u")),
        (VECTOR_COMPARE, Effect(leading="", writes=FLAGS)),
        (GATHERS, Effect(leading="u", form=Form.GATHER)),
        (SCATTERS, Effect(leading="w", form=Form.GATHER)),
        (PREFETCHES, Effect(leading="", form=Form.PREFETCH)),
        (SCALAR_WRITE, Effect(leading="w")),
        (SCALAR_WRITE_FLAGS, Effect(leading="w", writes=FLAGS)),
        (SCALAR_WRITE_FLAGS_PARTLY, Effect(leading="w", reads=FLAGS, writes=FLAGS)),
        (SCALAR_UPDATE, Effect(leading="u")),
        (SCALAR_UPDATE_FLAGS, Effect(leading="u", writes=FLAGS)),
        (SCALAR_UPDATE_FLAGS_PARTLY, Effect(leading="u", reads=FLAGS, writes=FLAGS)),
        (SCALAR_COMPARE, Effect(leading="", writes=FLAGS)),
        (f"cmov{CONDITIONS}", Effect(leading="u", reads=FLAGS)),
        (f"set{CONDITIONS}", Effect(leading="w", reads=FLAGS)),
        ("lea", Effect(leading="w", form=Form.ADDRESS)),
        ("mulx", Effect(leading="ww", reads=frozenset({"rdx"}))),
        ("mul", Effect(leading="", reads=frozenset({"rax", "rdx"}) | FLAGS, writes=frozenset({"rax", "rdx"}) | FLAGS)),
        ("cdq cqo", Effect(leading="", reads=frozenset({"rax"}), writes=frozenset({"rdx"}))),
        ("cwde cdqe", Effect(leading="", reads=frozenset({"rax"}), writes=frozenset({"rax"}))),
        ("vzeroupper", Effect(leading="", reads=_ALL_VECTORS, writes=_ALL_VECTORS)),
        ("vzeroall", Effect(leading="", writes=_ALL_VECTORS)),
        ("nop", Effect(leading="")),
    ]
    return {name: effect for patterns, effect in rows for name in expand(patterns)}


EFFECTS = _table()
