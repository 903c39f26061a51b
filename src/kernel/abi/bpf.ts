/** linux/bpf.h: what loading and running an XDP program takes. Byte offsets from the start of each struct of union bpf_attr. */

export const BPF_MAP_CREATE = 0
export const BPF_MAP_LOOKUP_ELEM = 1
export const BPF_MAP_UPDATE_ELEM = 2
export const BPF_PROG_LOAD = 5
/** Named BPF_PROG_TEST_RUN before Linux 5.14. */
export const BPF_PROG_RUN = 10
/** For XDP since Linux 5.9. */
export const BPF_LINK_CREATE = 28

export const BPF_MAP_TYPE_ARRAY = 2
export const BPF_PROG_TYPE_XDP = 6
export const BPF_OBJ_NAME_LEN = 16

/** attach_type of an XDP link. */
export const BPF_XDP = 37
/** linux/if_link.h: in the driver, or not at all. */
export const XDP_FLAGS_DRV_MODE = 1 << 2

/** Since Linux 5.18: frames that XDP_REDIRECT, XDP_TX or XDP_PASS really send. They are recycled, contents as they were left. */
export const BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1

/** Frames a batch of live frames; EINVAL above. */
export const TEST_XDP_MAX_BATCH = 256

/** BPF_MAP_CREATE. */
export const BPF_ATTR_MAP_CREATE = { map_type: 0, key_size: 4, value_size: 8, max_entries: 12, map_flags: 16, map_name: 28, sizeof: 48 } as const

/** BPF_MAP_*_ELEM. */
export const BPF_ATTR_MAP_ELEM = { map_fd: 0, key: 8, value: 16, flags: 24, sizeof: 32 } as const

/** BPF_PROG_LOAD. */
export const BPF_ATTR_PROG_LOAD = {
  prog_type: 0,
  insn_cnt: 4,
  insns: 8,
  license: 16,
  log_level: 24,
  log_size: 28,
  log_buf: 32,
  prog_flags: 44,
  prog_name: 48,
  expected_attach_type: 68,
  sizeof: 72,
} as const

/** BPF_PROG_RUN; `batch_size` since Linux 5.18. */
export const BPF_ATTR_TEST = {
  prog_fd: 0,
  retval: 4,
  data_size_in: 8,
  data_size_out: 12,
  data_in: 16,
  data_out: 24,
  repeat: 32,
  duration: 36,
  ctx_size_in: 40,
  ctx_size_out: 44,
  ctx_in: 48,
  ctx_out: 56,
  flags: 64,
  cpu: 68,
  batch_size: 72,
  sizeof: 80,
} as const

/** BPF_LINK_CREATE of an XDP program. */
export const BPF_ATTR_LINK_CREATE = { prog_fd: 0, target_ifindex: 4, attach_type: 8, flags: 12, sizeof: 16 } as const
