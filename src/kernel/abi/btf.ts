/** linux/btf.h: types of the kernel, as they stand in /sys/kernel/btf/vmlinux. Byte offsets from the start of each struct. */

export const BTF_MAGIC = 0xeb9f
export const BTF_VERSION = 1

/** struct btf_header. Offsets in it count from its end, `hdr_len`. */
export const BTF_HEADER = { magic: 0, version: 2, flags: 3, hdr_len: 4, type_off: 8, type_len: 12, str_off: 16, str_len: 20, sizeof: 24 } as const

/** struct btf_type; `info` holds the number of entries that follow in bits 0 to 15 and the kind in bits 24 to 28. */
export const BTF_TYPE = { name_off: 0, info: 4, size: 8, sizeof: 12 } as const

export const BTF_KIND_INT = 1
export const BTF_KIND_PTR = 2
export const BTF_KIND_ARRAY = 3
export const BTF_KIND_STRUCT = 4
export const BTF_KIND_UNION = 5
export const BTF_KIND_ENUM = 6
export const BTF_KIND_FWD = 7
export const BTF_KIND_TYPEDEF = 8
export const BTF_KIND_VOLATILE = 9
export const BTF_KIND_CONST = 10
export const BTF_KIND_RESTRICT = 11
export const BTF_KIND_FUNC = 12
export const BTF_KIND_FUNC_PROTO = 13
export const BTF_KIND_VAR = 14
export const BTF_KIND_DATASEC = 15
/** Since Linux 5.13. */
export const BTF_KIND_FLOAT = 16
/** Since Linux 5.16. */
export const BTF_KIND_DECL_TAG = 17
/** Since Linux 5.17. */
export const BTF_KIND_TYPE_TAG = 18
/** Since Linux 6.0. */
export const BTF_KIND_ENUM64 = 19

/** What follows a struct btf_type: one btf_array, or one of the others for each entry. */
export const BTF_ARRAY = { type: 0, index_type: 4, nelems: 8, sizeof: 12 } as const
export const BTF_MEMBER = { name_off: 0, type: 4, offset: 8, sizeof: 12 } as const
export const BTF_ENUM = { name_off: 0, val: 4, sizeof: 8 } as const
export const BTF_PARAM = { name_off: 0, type: 4, sizeof: 8 } as const
export const BTF_VAR = { linkage: 0, sizeof: 4 } as const
export const BTF_VAR_SECINFO = { type: 0, offset: 4, size: 8, sizeof: 12 } as const
export const BTF_DECL_TAG = { component_idx: 0, sizeof: 4 } as const
export const BTF_ENUM64 = { name_off: 0, val_lo32: 4, val_hi32: 8, sizeof: 12 } as const
