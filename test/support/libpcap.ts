/** The libpcap that tcpdump came with, as an oracle: it prints, checks and runs any program, not only those that tcpdump makes. */
import koffi from 'koffi'
import { encodeProgram, type Instruction } from '#src/bpf/classic.js'

export interface Libpcap {
  /** bpf_image(). */
  image(instruction: Instruction, index: number): string
  /** bpf_filter(). */
  filter(program: readonly Instruction[], packet: Uint8Array, wireLength: number): number
  /** bpf_validate(). */
  validate(program: readonly Instruction[]): boolean
}

/** Undefined where there is none; where CI is set that fails. */
export function openLibpcap(): Libpcap | undefined {
  const library = load()
  if (library === undefined) {
    if (process.env.CI) throw new Error('no libpcap, and CI does not skip')
    return undefined
  }
  const image = library.func('const char *bpf_image(const void *instruction, int n)')
  const filter = library.func('unsigned int bpf_filter(const void *program, const void *packet, unsigned int wirelen, unsigned int buflen)')
  const validate = library.func('int bpf_validate(const void *program, int length)')
  return {
    image: (instruction, index) => image(encodeProgram([instruction]), index) as string,
    filter: (program, packet, wireLength) => filter(encodeProgram(program), packet, wireLength, packet.length) as number,
    validate: (program) => validate(encodeProgram(program), program.length) === 1,
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
