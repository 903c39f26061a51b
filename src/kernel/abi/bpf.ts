/** linux/bpf.h: bpf(2). Byte offsets from the start of each struct of union bpf_attr. What programs are made of is in ebpf.ts. */

export const BPF_MAP_CREATE = 0
export const BPF_MAP_LOOKUP_ELEM = 1
export const BPF_MAP_UPDATE_ELEM = 2
export const BPF_MAP_DELETE_ELEM = 3
export const BPF_MAP_GET_NEXT_KEY = 4
export const BPF_PROG_LOAD = 5
/** Named BPF_PROG_TEST_RUN before Linux 5.14. */
export const BPF_PROG_RUN = 10
export const BPF_PROG_GET_FD_BY_ID = 13
export const BPF_OBJ_GET_INFO_BY_FD = 15
/** The three since Linux 5.6. */
export const BPF_MAP_LOOKUP_BATCH = 24
export const BPF_MAP_UPDATE_BATCH = 26
export const BPF_MAP_DELETE_BATCH = 27
/** For XDP since Linux 5.9. */
export const BPF_LINK_CREATE = 28
export const BPF_LINK_UPDATE = 29
export const BPF_LINK_DETACH = 34

export const BPF_MAP_TYPE_HASH = 1
export const BPF_MAP_TYPE_ARRAY = 2
export const BPF_MAP_TYPE_PROG_ARRAY = 3
export const BPF_MAP_TYPE_PERCPU_HASH = 5
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6
export const BPF_MAP_TYPE_LRU_HASH = 9
export const BPF_MAP_TYPE_LRU_PERCPU_HASH = 10
export const BPF_MAP_TYPE_DEVMAP = 14
export const BPF_MAP_TYPE_CPUMAP = 16
export const BPF_MAP_TYPE_XSKMAP = 17

/** Flags of BPF_MAP_CREATE. */
export const BPF_F_NO_PREALLOC = 1 << 0
export const BPF_F_NO_COMMON_LRU = 1 << 1
export const BPF_F_NUMA_NODE = 1 << 2

/** Flags of BPF_MAP_UPDATE_ELEM. */
export const BPF_ANY = 0
export const BPF_NOEXIST = 1
export const BPF_EXIST = 2

export const BPF_PROG_TYPE_SOCKET_FILTER = 1
export const BPF_PROG_TYPE_XDP = 6
export const BPF_OBJ_NAME_LEN = 16

/** Flags of BPF_PROG_LOAD: the program can do with frames in several buffers. Since Linux 5.18. */
export const BPF_F_XDP_HAS_FRAGS = 1 << 5
/** The program is for one device only, whose metadata functions it may call. Since Linux 6.3. */
export const BPF_F_XDP_DEV_BOUND_ONLY = 1 << 6

/** attach_type of an XDP link. */
export const BPF_XDP = 37

/** Since Linux 5.18: frames that XDP_REDIRECT, XDP_TX or XDP_PASS really send. They are recycled, contents as they were left. */
export const BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1

/** Frames a batch of live frames; EINVAL above. */
export const TEST_XDP_MAX_BATCH = 256

/** BPF_MAP_CREATE. */
export const BPF_ATTR_MAP_CREATE = { map_type: 0, key_size: 4, value_size: 8, max_entries: 12, map_flags: 16, map_name: 28, sizeof: 48 } as const

/** BPF_MAP_*_ELEM, and BPF_MAP_GET_NEXT_KEY with the next key in place of the value. */
export const BPF_ATTR_MAP_ELEM = { map_fd: 0, key: 8, value: 16, flags: 24, sizeof: 32 } as const

/** BPF_MAP_*_BATCH. `count` is what there is room for, then what was done. */
export const BPF_ATTR_MAP_BATCH = {
  in_batch: 0,
  out_batch: 8,
  keys: 16,
  values: 24,
  count: 32,
  map_fd: 36,
  elem_flags: 40,
  flags: 48,
  sizeof: 56,
} as const

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
  prog_ifindex: 64,
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

/** BPF_LINK_UPDATE. */
export const BPF_ATTR_LINK_UPDATE = { link_fd: 0, new_prog_fd: 4, flags: 8, old_prog_fd: 12, sizeof: 16 } as const

/** BPF_LINK_DETACH. */
export const BPF_ATTR_LINK_DETACH = { link_fd: 0, sizeof: 4 } as const

/** BPF_PROG_GET_FD_BY_ID. */
export const BPF_ATTR_GET_ID = { prog_id: 0, next_id: 4, open_flags: 8, sizeof: 12 } as const

/** BPF_OBJ_GET_INFO_BY_FD. */
export const BPF_ATTR_INFO = { bpf_fd: 0, info_len: 4, info: 8, sizeof: 16 } as const

/** As much of struct bpf_prog_info as every kernel since 4.15 has. `load_time` is in ns since boot, `nr_map_ids` the room behind `map_ids`, then how many there are. */
export const BPF_PROG_INFO = { type: 0, id: 4, tag: 8, load_time: 40, nr_map_ids: 52, map_ids: 56, name: 64, sizeof: 80 } as const

/** As much of struct bpf_link_info as an XDP link has, since Linux 5.9. `xdp_ifindex` is 0 for a link that is attached to nothing. */
export const BPF_LINK_INFO = { type: 0, id: 4, prog_id: 8, xdp_ifindex: 16, sizeof: 20 } as const
