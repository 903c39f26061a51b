/**
 * Kernel functions by name: a program calls one by its number among the types that the kernel tells of itself (BTF). Format:
 * Documentation/bpf/btf.rst. /sys/kernel/btf/vmlinux is 5 to 10 MB, read and walked once a call.
 */
import { readFileSync } from 'node:fs'
import {
  BTF_ARRAY,
  BTF_DECL_TAG,
  BTF_ENUM,
  BTF_ENUM64,
  BTF_HEADER,
  BTF_KIND_ARRAY,
  BTF_KIND_CONST,
  BTF_KIND_DATASEC,
  BTF_KIND_DECL_TAG,
  BTF_KIND_ENUM,
  BTF_KIND_ENUM64,
  BTF_KIND_FLOAT,
  BTF_KIND_FUNC,
  BTF_KIND_FUNC_PROTO,
  BTF_KIND_FWD,
  BTF_KIND_INT,
  BTF_KIND_PTR,
  BTF_KIND_RESTRICT,
  BTF_KIND_STRUCT,
  BTF_KIND_TYPE_TAG,
  BTF_KIND_TYPEDEF,
  BTF_KIND_UNION,
  BTF_KIND_VAR,
  BTF_KIND_VOLATILE,
  BTF_MAGIC,
  BTF_MEMBER,
  BTF_PARAM,
  BTF_TYPE,
  BTF_VAR,
  BTF_VAR_SECINFO,
  BTF_VERSION,
} from './abi/btf.js'

/** Of the running kernel without its modules. Since Linux 5.4, where it was built with CONFIG_DEBUG_INFO_BTF. */
const VMLINUX = '/sys/kernel/btf/vmlinux'

/** Bytes behind a struct btf_type: `fixed`, and `each` for every entry. */
const TRAILERS: Readonly<Record<number, readonly [fixed: number, each: number]>> = {
  [BTF_KIND_INT]: [4, 0],
  [BTF_KIND_PTR]: [0, 0],
  [BTF_KIND_ARRAY]: [BTF_ARRAY.sizeof, 0],
  [BTF_KIND_STRUCT]: [0, BTF_MEMBER.sizeof],
  [BTF_KIND_UNION]: [0, BTF_MEMBER.sizeof],
  [BTF_KIND_ENUM]: [0, BTF_ENUM.sizeof],
  [BTF_KIND_FWD]: [0, 0],
  [BTF_KIND_TYPEDEF]: [0, 0],
  [BTF_KIND_VOLATILE]: [0, 0],
  [BTF_KIND_CONST]: [0, 0],
  [BTF_KIND_RESTRICT]: [0, 0],
  [BTF_KIND_FUNC]: [0, 0],
  [BTF_KIND_FUNC_PROTO]: [0, BTF_PARAM.sizeof],
  [BTF_KIND_VAR]: [BTF_VAR.sizeof, 0],
  [BTF_KIND_DATASEC]: [0, BTF_VAR_SECINFO.sizeof],
  [BTF_KIND_FLOAT]: [0, 0],
  [BTF_KIND_DECL_TAG]: [BTF_DECL_TAG.sizeof, 0],
  [BTF_KIND_TYPE_TAG]: [0, 0],
  [BTF_KIND_ENUM64]: [0, BTF_ENUM64.sizeof],
}
const KINDS = 32
const fixedBytes = Int32Array.from({ length: KINDS }, (_, kind) => TRAILERS[kind]?.[0] ?? -1)
const bytesEach = Int32Array.from({ length: KINDS }, (_, kind) => TRAILERS[kind]?.[1] ?? 0)

/**
 * The numbers of the kernel's functions of these names; those that it has not are absent.
 * @throws Error when the kernel has no BTF; RangeError when it cannot be read.
 */
export function kernelFunctions(names: readonly string[], path = VMLINUX): Map<string, number> {
  return functionIds(readFileSync(path), names)
}

/** The same in BTF of any origin. @throws RangeError where it is not well formed */
export function functionIds(btf: Uint8Array, names: readonly string[]): Map<string, number> {
  const view = new DataView(btf.buffer, btf.byteOffset, btf.byteLength)
  if (btf.length < BTF_HEADER.sizeof) throw malformed(`${btf.length} bytes are no header`)
  const magic = view.getUint16(BTF_HEADER.magic, true)
  const version = btf[BTF_HEADER.version] as number
  if (magic !== BTF_MAGIC || version !== BTF_VERSION) throw malformed(`magic 0x${magic.toString(16)} and version ${version}`)
  const headerBytes = view.getUint32(BTF_HEADER.hdr_len, true)
  if (headerBytes < BTF_HEADER.sizeof) throw malformed(`a header of ${headerBytes} bytes`)
  const section = (offset: number, length: number): [start: number, end: number] => {
    const start = headerBytes + view.getUint32(offset, true)
    const end = start + view.getUint32(length, true)
    if (end > btf.length) throw malformed(`a section that ends at byte ${end} of ${btf.length}`)
    return [start, end]
  }
  const [typeStart, typeEnd] = section(BTF_HEADER.type_off, BTF_HEADER.type_len)
  const [stringStart, stringEnd] = section(BTF_HEADER.str_off, BTF_HEADER.str_len)
  const wanted = names.map((name) => new TextEncoder().encode(`${name}\0`))

  const found = new Map<string, number>()
  let id = 1
  for (let at = typeStart; at < typeEnd && found.size < names.length; id++) {
    const entries = at + BTF_TYPE.sizeof
    if (entries > typeEnd) throw malformed(`type ${id} ends behind its section`)
    const info = view.getUint32(at + BTF_TYPE.info, true)
    const kind = (info >>> 24) & 0x1f
    const fixed = fixedBytes[kind] as number
    // Without the length of what follows there is no next type.
    if (fixed < 0) throw malformed(`type ${id} is of unknown kind ${kind}`)
    if (kind === BTF_KIND_FUNC) {
      const start = stringStart + view.getUint32(at + BTF_TYPE.name_off, true)
      for (let i = 0; i < wanted.length; i++) {
        const name = wanted[i] as Uint8Array
        let length = 0
        while (length < name.length && start + length < stringEnd && btf[start + length] === name[length]) length++
        // The kernel takes the first of several (btf_find_by_name_kind).
        if (length === name.length && !found.has(names[i] as string)) found.set(names[i] as string, id)
      }
    }
    at = entries + fixed + (info & 0xffff) * (bytesEach[kind] as number)
    if (at > typeEnd) throw malformed(`type ${id} ends behind its section`)
  }
  return found
}

function malformed(what: string): RangeError {
  return new RangeError(`BTF that cannot be read: ${what}`)
}
