/** The program of a capture's packet socket: a filter, the direction, and how many bytes are kept. Pure. */
import type { Instruction } from '../bpf/classic.js'
import { CaptureError } from '../errors.js'
import { BPF_ABS, BPF_IMM, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MAXINSNS, BPF_RET, BPF_W, SKF_AD_OFF, SKF_AD_PKTTYPE } from '../kernel/abi/filter.js'
import { PACKET_OUTGOING } from '../kernel/abi/if_packet.js'

/**
 * What `filter` accepts, or everything without one, of one direction, cut to `snapLengthBytes` whatever length the filter itself answers.
 * @throws CaptureError INVALID_FILTER for a filter that has no room for the direction.
 */
export function socketProgram(filter: readonly Instruction[] | undefined, snapLengthBytes: number, direction: 'in' | 'out' | 'inout'): Instruction[] {
  const accept: Instruction = [BPF_RET | BPF_K, 0, 0, snapLengthBytes]
  const cut = filter?.map((it): Instruction => (it[0] === (BPF_RET | BPF_K) && it[3] !== 0 ? accept : it)) ?? [accept]
  if (direction === 'inout') return cut
  const [onOutgoing, otherwise] = direction === 'in' ? [0, 1] : [1, 0]
  const program: Instruction[] = [
    [BPF_LD | BPF_W | BPF_ABS, 0, 0, (SKF_AD_OFF + SKF_AD_PKTTYPE) >>> 0],
    [BPF_JMP | BPF_JEQ | BPF_K, onOutgoing, otherwise, PACKET_OUTGOING],
    [BPF_RET | BPF_K, 0, 0, 0],
  ]
  // NB: a filter may count on an A of 0 at its beginning.
  if (filter !== undefined) program.push([BPF_LD | BPF_IMM, 0, 0, 0])
  program.push(...cut)
  if (program.length <= BPF_MAXINSNS) return program
  throw new CaptureError('INVALID_FILTER', `the filter and its direction need more than the ${BPF_MAXINSNS} instructions that the kernel takes`)
}
