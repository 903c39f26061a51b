/** A filter as a whole XDP program, to be asked for nothing but its verdict. */
import type { Instruction } from '#src/bpf/classic.js'
import { filterToXdp } from '#src/bpf/classic-to-ebpf.js'
import { alu, exit, label, type Statement } from '#src/bpf/ebpf.js'

export const ACCEPTED = 0xacc
export const REJECTED = 0xbad

export function verdictProgram(filter: readonly Instruction[], multiBuffer: boolean): Statement[] {
  const statements = filterToXdp(filter, { accept: 'yes', reject: 'no', multiBuffer })
  // The verifier refuses what no jump leads to.
  const ends = [['yes', ACCEPTED] as const, ['no', REJECTED] as const].filter(([name]) => statements.some((it) => 'target' in it && it.target === name))
  return [alu('mov', 'r6', 'r1'), ...statements, ...ends.flatMap(([name, answer]) => [label(name), alu('mov', 'r0', answer), exit()])]
}
