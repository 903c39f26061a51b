/** linux/bpf.h and linux/bpf_common.h: what a program is made of, what it calls and what it is given. */

/** Instruction classes: the lowest 3 bits of the opcode. */
export const BPF_LD = 0x00
export const BPF_LDX = 0x01
export const BPF_ST = 0x02
export const BPF_STX = 0x03
export const BPF_ALU = 0x04
export const BPF_JMP = 0x05
export const BPF_JMP32 = 0x06
export const BPF_ALU64 = 0x07

/** The operand is a register, not the immediate. */
export const BPF_X = 0x08

/** Sizes and modes of loads and stores. */
export const BPF_W = 0x00
export const BPF_H = 0x08
export const BPF_B = 0x10
export const BPF_DW = 0x18
export const BPF_IMM = 0x00
export const BPF_ABS = 0x20
export const BPF_IND = 0x40
export const BPF_MEM = 0x60
/** Named BPF_XADD before Linux 5.12, and then only for addition. */
export const BPF_ATOMIC = 0xc0

export const BPF_ADD = 0x00
export const BPF_SUB = 0x10
export const BPF_MUL = 0x20
export const BPF_DIV = 0x30
export const BPF_OR = 0x40
export const BPF_AND = 0x50
export const BPF_LSH = 0x60
export const BPF_RSH = 0x70
export const BPF_NEG = 0x80
export const BPF_MOD = 0x90
export const BPF_XOR = 0xa0
export const BPF_MOV = 0xb0
export const BPF_ARSH = 0xc0
export const BPF_END = 0xd0
export const BPF_TO_LE = 0x00
export const BPF_TO_BE = 0x08

export const BPF_JA = 0x00
export const BPF_JEQ = 0x10
export const BPF_JGT = 0x20
export const BPF_JGE = 0x30
export const BPF_JSET = 0x40
export const BPF_JNE = 0x50
export const BPF_JSGT = 0x60
export const BPF_JSGE = 0x70
export const BPF_CALL = 0x80
export const BPF_EXIT = 0x90
export const BPF_JLT = 0xa0
export const BPF_JLE = 0xb0
export const BPF_JSLT = 0xc0
export const BPF_JSLE = 0xd0

/** src_reg of a 64-bit immediate: a map by descriptor, and the address of its value. */
export const BPF_PSEUDO_MAP_FD = 1
export const BPF_PSEUDO_MAP_VALUE = 2

/** src_reg of a call: a kernel function by its BTF id. Since Linux 5.13. */
export const BPF_PSEUDO_KFUNC_CALL = 2

/** enum bpf_func_id. */
export const BPF_FUNC_map_lookup_elem = 1
export const BPF_FUNC_map_update_elem = 2
export const BPF_FUNC_map_delete_elem = 3
export const BPF_FUNC_ktime_get_ns = 5
export const BPF_FUNC_get_prandom_u32 = 7
export const BPF_FUNC_get_smp_processor_id = 8
export const BPF_FUNC_tail_call = 12
export const BPF_FUNC_redirect = 23
export const BPF_FUNC_perf_event_output = 25
export const BPF_FUNC_skb_load_bytes = 26
export const BPF_FUNC_xdp_adjust_head = 44
export const BPF_FUNC_redirect_map = 51
export const BPF_FUNC_xdp_adjust_meta = 54
export const BPF_FUNC_xdp_adjust_tail = 65
/** Since Linux 4.18. */
export const BPF_FUNC_skb_load_bytes_relative = 68
/** Since Linux 5.18. */
export const BPF_FUNC_xdp_get_buff_len = 188
/** Since Linux 5.18. */
export const BPF_FUNC_xdp_load_bytes = 189

/** start_header of bpf_skb_load_bytes_relative(). */
export const BPF_HDR_START_MAC = 0
export const BPF_HDR_START_NET = 1

/** enum xdp_action. */
export const XDP_ABORTED = 0
export const XDP_DROP = 1
export const XDP_PASS = 2
export const XDP_TX = 3
export const XDP_REDIRECT = 4

/** struct xdp_md: the context of an XDP program. */
export const XDP_MD = { data: 0, data_end: 4, data_meta: 8, ingress_ifindex: 12, rx_queue_index: 16, egress_ifindex: 20, sizeof: 24 } as const

/** struct __sk_buff: the context of a socket program. `protocol` and `vlan_proto` are in network byte order. */
export const __SK_BUFF = {
  len: 0,
  pkt_type: 4,
  mark: 8,
  queue_mapping: 12,
  protocol: 16,
  vlan_present: 20,
  vlan_tci: 24,
  vlan_proto: 28,
  priority: 32,
  ingress_ifindex: 36,
  ifindex: 40,
  tc_index: 44,
  cb: 48,
  hash: 68,
} as const
