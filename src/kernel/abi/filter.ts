/** linux/bpf_common.h and linux/filter.h: classic BPF. */

export const BPF_LD = 0x00
export const BPF_ALU = 0x04
export const BPF_JMP = 0x05
export const BPF_RET = 0x06
export const BPF_MISC = 0x07
export const BPF_W = 0x00
export const BPF_H = 0x08
export const BPF_B = 0x10
export const BPF_ABS = 0x20
export const BPF_JEQ = 0x10
export const BPF_K = 0x00
export const BPF_A = 0x10
export const BPF_MAXINSNS = 4096

/** Ancillary loads: negative offsets that mean fields of the skb. */
export const SKF_AD_OFF = -0x1000
export const SKF_AD_PROTOCOL = 0
export const SKF_AD_PKTTYPE = 4
export const SKF_AD_RXHASH = 32
export const SKF_AD_CPU = 36
