/** Classic BPF programs as rows, and their bytes for SO_ATTACH_FILTER. The filter language builds on this. Pure. */
import { CaptureError } from '../errors.js'
import { BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MAXINSNS, BPF_RET, BPF_W, SKF_AD_OFF, SKF_AD_PKTTYPE } from '../kernel/abi/filter.js'
import { PACKET_OUTGOING } from '../kernel/abi/if_packet.js'
import { SOCK_FILTER } from '../kernel/abi/socket.js'

/** One instruction: code, jump if true, jump if false, operand; the numbers that `tcpdump -ddd` prints. */
export type Instruction = readonly [code: number, jt: number, jf: number, k: number]

/** Takes nothing: the closed gate of a socket that is being opened or closed. */
export const REJECT_ALL: readonly Instruction[] = [[BPF_RET | BPF_K, 0, 0, 0]]

/** Takes everything of one direction, cut to `snapLengthBytes`. */
export function acceptProgram(snapLengthBytes: number, direction: 'in' | 'out' | 'inout'): Instruction[] {
  const accept: Instruction = [BPF_RET | BPF_K, 0, 0, snapLengthBytes]
  if (direction === 'inout') return [accept]
  const [onOutgoing, otherwise] = direction === 'in' ? [1, 0] : [0, 1]
  return [
    [BPF_LD | BPF_W | BPF_ABS, 0, 0, (SKF_AD_OFF + SKF_AD_PKTTYPE) >>> 0],
    [BPF_JMP | BPF_JEQ | BPF_K, onOutgoing, otherwise, PACKET_OUTGOING],
    accept,
    [BPF_RET | BPF_K, 0, 0, 0],
  ]
}

/**
 * An array of struct sock_filter.
 * @throws CaptureError INVALID_OPTION for a program that is empty, longer than BPF_MAXINSNS, or has numbers out of range.
 */
export function encodeProgram(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  if (program.length === 0 || program.length > BPF_MAXINSNS) {
    throw new CaptureError('INVALID_OPTION', `Expected a BPF program of 1 to ${BPF_MAXINSNS} instructions, got ${program.length}`)
  }
  const bytes = new Uint8Array(new ArrayBuffer(program.length * SOCK_FILTER.sizeof))
  const view = new DataView(bytes.buffer)
  for (const [index, [code, jt, jf, k]] of program.entries()) {
    const fits = inRange(code, 0xffff) && inRange(jt, 0xff) && inRange(jf, 0xff) && inRange(k, 0xffff_ffff)
    if (!fits)
      throw new CaptureError('INVALID_OPTION', `BPF instruction ${index}: [${code}, ${jt}, ${jf}, ${k}] does not fit struct sock_filter (u16, u8, u8, u32)`)
    const at = index * SOCK_FILTER.sizeof
    view.setUint16(at + SOCK_FILTER.code, code, true)
    view.setUint8(at + SOCK_FILTER.jt, jt)
    view.setUint8(at + SOCK_FILTER.jf, jf)
    view.setUint32(at + SOCK_FILTER.k, k, true)
  }
  return bytes
}

function inRange(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max
}
