/** What filters say of packets, and where two of them differ. */
import type { Instruction } from '#src/bpf/classic.js'
import { type Ancillary, interpret } from '#src/bpf/interpret.js'
import { CaptureError } from '#src/errors.js'
import { type GenerateOptions, generateFilter } from '#src/filter/generate.js'
import { linearise } from '#src/filter/linearise.js'
import { parseFilter } from '#src/filter/parser.js'
import type { NamedPacket } from './link-packets.js'

/** The program of the unoptimised graph, or the message of the error. */
export function compileUnoptimised(text: string, options: GenerateOptions): readonly Instruction[] | string {
  try {
    return linearise(generateFilter(parseFilter(text), options))
  } catch (error) {
    if (error instanceof CaptureError && error.code === 'INVALID_FILTER') return error.message
    throw error
  }
}

/** NB: libpcap leaves scratch memory as it finds it, so a program is run with the memory that another left. */
const CLEAR_MEMORY: readonly Instruction[] = [[0, 0, 0, 0], ...Array.from({ length: 16 }, (_, register): Instruction => [0x02, 0, 0, register])]

export function clearingMemory(program: readonly Instruction[]): readonly Instruction[] {
  return [...CLEAR_MEMORY, ...program]
}

export function accepts(program: readonly Instruction[], bytes: Uint8Array, ancillary: Ancillary): boolean {
  return interpret(program, bytes, 0, bytes.length, bytes.length, ancillary) !== 0
}

/** What a live capture knows of a packet that came in, and of one that went out. */
export const IN_AND_OUT: readonly Ancillary[] = [
  { packetType: 0, interfaceIndex: 2, hasVlan: false, vlanTci: 0 },
  { packetType: 4, interfaceIndex: 7, hasVlan: false, vlanTci: 0 },
]

/** The first packet of which two programs say different things. */
export function firstDifference(
  ours: readonly Instruction[],
  theirs: readonly Instruction[],
  packets: readonly NamedPacket[],
  situations: readonly Ancillary[] = IN_AND_OUT,
): string | undefined {
  const cleared = clearingMemory(theirs)
  for (const { name, bytes } of packets) {
    for (const situation of situations) {
      const verdict = accepts(ours, bytes, situation)
      if (verdict !== accepts(cleared, bytes, situation)) {
        return `${name} ${Buffer.from(bytes).toString('hex')} ${JSON.stringify(situation)}: we say ${verdict}, libpcap does not`
      }
    }
  }
  return undefined
}
