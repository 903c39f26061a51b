/** A frame as the kernel hands it to an XDP program, for the interpreter. */
import { BPF_FUNC_get_prandom_u32, BPF_FUNC_get_smp_processor_id, BPF_FUNC_xdp_get_buff_len, BPF_FUNC_xdp_load_bytes, XDP_MD } from '#src/kernel/abi/ebpf.js'
import { type Helper, interpret } from './ebpf-interpreter.js'

const CONTEXT = 0x1000n
const DATA = 0x2000_0000n
const EFAULT = 14
/** Farther, bpf_xdp_load_bytes() does not look. */
const FARTHEST = 0xffff

export interface XdpFrame {
  /** The frame, over all its buffers. */
  frame: Uint8Array
  /** What is in the first one. Default: all. */
  firstBytes?: number | undefined
  interfaceIndex?: number
  queue?: number
  cpu?: number
  random?: number
  /** The program's own helpers. */
  helpers?: Readonly<Record<number, Helper>>
  memory?: readonly { address: bigint; bytes: Uint8Array }[]
}

/** Answers r0. @throws Error for an access outside of the first buffer. */
export function runXdp(code: Uint8Array, options: XdpFrame): number {
  const { frame, firstBytes = frame.length } = options
  const context = new Uint8Array(XDP_MD.sizeof)
  const view = new DataView(context.buffer)
  view.setUint32(XDP_MD.data, Number(DATA), true)
  view.setUint32(XDP_MD.data_end, Number(DATA) + firstBytes, true)
  view.setUint32(XDP_MD.ingress_ifindex, options.interfaceIndex ?? 0, true)
  view.setUint32(XDP_MD.rx_queue_index, options.queue ?? 0, true)
  const loadBytes: Helper = (_context, offset, to, length, _5, at) => {
    const from = Number(BigInt.asUintN(32, offset))
    const target = at(to, Number(length))
    if (from > FARTHEST || from + Number(length) > frame.length) return BigInt.asUintN(64, BigInt(-EFAULT))
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(frame.subarray(from, from + Number(length)))
    return 0n
  }
  const answer = interpret({
    code,
    context: CONTEXT,
    memory: [{ address: CONTEXT, bytes: context }, { address: DATA, bytes: frame.subarray(0, firstBytes) }, ...(options.memory ?? [])],
    helpers: {
      [BPF_FUNC_xdp_load_bytes]: loadBytes,
      [BPF_FUNC_xdp_get_buff_len]: () => BigInt(frame.length),
      [BPF_FUNC_get_smp_processor_id]: () => BigInt(options.cpu ?? 0),
      [BPF_FUNC_get_prandom_u32]: () => BigInt(options.random ?? 0),
      ...options.helpers,
    },
  })
  return Number(BigInt.asUintN(32, answer))
}
