/** Packets as the kernel hands them to a socket program, for the interpreter; as measured on Linux 6.18 (test/live/bpf-fanout.test.ts). */
import type { Instruction } from '#src/bpf/ebpf.js'
import { assemble } from '#src/bpf/ebpf.js'
import { __SK_BUFF, BPF_FUNC_skb_load_bytes_relative, BPF_HDR_START_MAC } from '#src/kernel/abi/ebpf.js'
import { type Helper, interpret } from './ebpf-interpreter.js'

const EFAULT = 14
const CONTEXT = 0x1000n

/** An Ethernet frame with these tags. */
export function taggedFrame(frame: Uint8Array, tags: readonly (readonly [tpid: number, tci: number])[]): Uint8Array<ArrayBuffer> {
  const bytes = tags.flatMap(([tpid, tci]) => [tpid >> 8, tpid & 0xff, tci >> 8, tci & 0xff])
  return Uint8Array.from([...frame.subarray(0, 12), ...bytes, ...frame.subarray(12)])
}

/** Answers what a socket program says of a frame on the wire that comes in or goes out. */
export function runOnFrame(program: readonly Instruction[] | Uint8Array, wire: Uint8Array, direction: 'in' | 'out'): number {
  const isTag = (at: number) => [0x8100, 0x88a8].includes((wire[at] << 8) | wire[at + 1])
  const frame = direction === 'in' && isTag(12) ? Uint8Array.from([...wire.subarray(0, 12), ...wire.subarray(16)]) : wire
  const etherType = (frame[12] << 8) | frame[13]
  let network = 14
  if (direction === 'out') for (let at = 12; isTag(at); at += 4) network = at + 6
  const context = new Uint8Array(192)
  // In network order, as it stands in the packet.
  new DataView(context.buffer).setUint32(__SK_BUFF.protocol, ((etherType & 0xff) << 8) | (etherType >> 8), true)
  const loadBytesRelative: Helper = (_skb, offset, to, length, start, at) => {
    const from = Number(offset) + (Number(start) === BPF_HDR_START_MAC ? 0 : network)
    const target = at(to, Number(length))
    const into = new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
    into.fill(0)
    if (from + into.length > frame.length) return BigInt.asUintN(64, BigInt(-EFAULT))
    into.set(frame.subarray(from, from + into.length))
    return 0n
  }
  const code = program instanceof Uint8Array ? program : assemble(program)
  return Number(
    interpret({ code, context: CONTEXT, memory: [{ address: CONTEXT, bytes: context }], helpers: { [BPF_FUNC_skb_load_bytes_relative]: loadBytesRelative } }),
  )
}
