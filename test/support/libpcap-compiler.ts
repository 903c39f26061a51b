/** pcap_compile() of the libpcap that tcpdump came with: what `tcpdump -ddd -y TYPE EXPR` prints, thousands of times a second. */
import koffi from 'koffi'
import type { Instruction } from '#src/bpf/classic.js'

export interface LibpcapCompiler {
  /** The program, or what pcap_geterr() says. The netmask is 0, as it is to `tcpdump -d`. */
  compile(expression: string, dlt: number, optimise: boolean): readonly Instruction[] | string
}

const SNAP_LENGTH = 262144

/** Undefined where there is none; where CI is set that fails. */
export function openLibpcapCompiler(): LibpcapCompiler | undefined {
  const library = load()
  if (library === undefined) {
    if (process.env.CI) throw new Error('no libpcap, and CI does not skip')
    return undefined
  }
  const program = koffi.struct({ bf_len: 'unsigned int', bf_insns: 'void *' })
  const instruction = koffi.struct({ code: 'uint16_t', jt: 'uint8_t', jf: 'uint8_t', k: 'uint32_t' })
  const openDead = library.func('void *pcap_open_dead(int linktype, int snaplen)')
  const compile = library.func('pcap_compile', 'int', ['void *', koffi.out(koffi.pointer(program)), 'str', 'int', 'uint32_t'])
  const freeCode = library.func('pcap_freecode', 'void', [koffi.pointer(program)])
  const error = library.func('str pcap_geterr(void *p)')
  const handles = new Map<number, unknown>()
  return {
    compile(expression, dlt, optimise) {
      const handle = handles.get(dlt) ?? openDead(dlt, SNAP_LENGTH)
      handles.set(dlt, handle)
      const made: { bf_len: number; bf_insns: unknown } = { bf_len: 0, bf_insns: null }
      if (compile(handle, made, expression, optimise ? 1 : 0, 0) !== 0) return (error(handle) as string).trimEnd()
      const rows = koffi.decode(made.bf_insns, koffi.array(instruction, made.bf_len)) as { code: number; jt: number; jf: number; k: number }[]
      freeCode(made)
      return rows.map(({ code, jt, jf, k }) => [code, jt, jf, k] as const)
    },
  }
}

function load(): ReturnType<typeof koffi.load> | undefined {
  for (const name of ['libpcap.so.1', 'libpcap.so.0.8']) {
    try {
      return koffi.load(name)
    } catch {}
  }
  return undefined
}
