/**
 * The XDP program of an AF_XDP capture: each frame goes to the socket of its receive queue, and is counted; what comes in on a
 * queue without a socket is left to the kernel. Pure; loading is in kernel/bpf-program.ts.
 */
import { BPF_FUNC_map_lookup_elem, BPF_FUNC_redirect_map, BPF_FUNC_xdp_adjust_meta, XDP_DROP, XDP_MD, XDP_PASS, XDP_REDIRECT } from '../kernel/abi/ebpf.js'
import { alu, call, callKernelFunction, exit, jumpIf, jumpIf32, label, load, loadMap, type Statement, store } from './ebpf.js'

/**
 * What the program counts for each receive queue on each CPU, in 64-bit words. `redirected` is what went to a socket, which may still
 * drop it; `filtered` is what a filter (xsk-filter-program.ts) did not accept, on whatever queue.
 */
export const XSK_QUEUE = { redirected: 0, passed: 1, dropped: 2, filtered: 3, words: 4 } as const

/**
 * What the program hands to the socket right before a packet, in host order but for the TPID: what the driver knows of the packet
 * beside its bytes. `timestamp` is in nanoseconds, by the NIC's clock; the tag is one that the NIC took out of the frame. Fields
 * are aligned for a packet that begins on a multiple of 16 and 2 more, as those of ring/umem.ts do.
 *
 * `valid` says which of them are true: XSK_HINTS_VALID and its bits. It and `magic` tell hints from what else may lie there,
 * where the kernel has no room for any; who reads them clears `valid`, so that the next packet in their place does not get them.
 */
export const XSK_HINTS = { magic: 0, vlanTci: 2, vlanTpid: 4, timestamp: 6, valid: 14, sizeof: 16 } as const
export const XSK_HINTS_MAGIC = 0x9e3b
export const XSK_HINTS_VALID = 0xc5a8
export const XSK_HINTS_TIMESTAMP = 1
export const XSK_HINTS_VLAN = 2

/** Numbers of kernel functions (kernel/btf.ts); undefined for what is not to be asked. */
export interface XskHintFunctions {
  /** bpf_xdp_metadata_rx_timestamp. Since Linux 6.3. */
  timestamp: number | undefined
  /** bpf_xdp_metadata_rx_vlan_tag. Since Linux 6.8. */
  vlan: number | undefined
}

export interface XskProgramOptions {
  /** What becomes of frames on a queue without a socket: `pass` to the kernel, or `drop`. Default `pass`. */
  otherwise?: 'pass' | 'drop' | undefined
  /** Ask the driver for XSK_HINTS. The program is then for one interface only, whose driver the functions become. Default: no hints. */
  hints?: XskHintFunctions | undefined
}

/** The maps of the program by the names that it has for them, for so many receive queues. */
export function xskMaps(queues: number) {
  return {
    /** The socket of each queue. */
    xsks: { name: 'ringtap_xsks', type: 'xskmap', keyBytes: 4, valueBytes: 4, maxEntries: queues },
    /** The XSK_QUEUE of each. */
    queues: { name: 'ringtap_queues', type: 'percpu_array', keyBytes: 4, valueBytes: XSK_QUEUE.words * 8, maxEntries: queues },
  } as const
}

/**
 * Frames of queues beyond the maps are treated as those of a queue without a socket, but not counted. Since Linux 5.3.
 *
 * Measured by BPF_PROG_RUN on Linux 6.18: the redirect takes 8 ns a frame, the count 2 ns more; the kernel has put the look-up in
 * line and calls the map's own function directly. Hints take 22 ns more, on a veth as with functions of a few instructions: 6 to
 * make room before the packet, 8 for each of the two.
 */
export function xskProgram(options: XskProgramOptions = {}): Statement[] {
  const { hints } = options
  const drop = options.otherwise === 'drop'
  return [
    ...(hints === undefined ? [] : [alu('mov', 'r7', 'r1')]),
    load('w', 'r2', 'r1', XDP_MD.rx_queue_index),
    store('w', 'r10', -4, 'r2'),
    loadMap('r1', 'xsks'),
    // The answer where the map has no socket.
    alu('mov', 'r3', drop ? XDP_DROP : XDP_PASS),
    call(BPF_FUNC_redirect_map),
    alu('mov', 'r6', 'r0'),
    ...(hints === undefined ? [] : handOverHints(hints)),
    loadMap('r1', 'queues'),
    alu('mov', 'r2', 'r10'),
    alu('add', 'r2', -4),
    call(BPF_FUNC_map_lookup_elem),
    jumpIf('eq', 'r0', 0, 'end'),
    jumpIf('ne', 'r6', XDP_REDIRECT, 'other'),
    ...countAt(XSK_QUEUE.redirected),
    label('end'),
    alu('mov', 'r0', 'r6'),
    exit(),
    label('other'),
    ...countAt(drop ? XSK_QUEUE.dropped : XSK_QUEUE.passed),
    alu('mov', 'r0', 'r6'),
    exit(),
  ]
}

/** Of a packet that goes to a socket: with r6 the action and r7 the context, which stay. r8 and r9 are lost. */
function handOverHints(functions: XskHintFunctions): Statement[] {
  const { timestamp, vlan } = functions
  return [
    jumpIf('ne', 'r6', XDP_REDIRECT, 'counted'),
    alu('mov', 'r1', 'r7'),
    alu('mov', 'r2', -XSK_HINTS.sizeof),
    call(BPF_FUNC_xdp_adjust_meta),
    // The driver has no room before the packet, or takes none.
    jumpIf32('ne', 'r0', 0, 'counted'),
    load('w', 'r8', 'r7', XDP_MD.data_meta),
    load('w', 'r1', 'r7', XDP_MD.data),
    alu('mov', 'r2', 'r8'),
    alu('add', 'r2', XSK_HINTS.sizeof),
    jumpIf('gt', 'r2', 'r1', 'counted'),
    store('h', 'r8', XSK_HINTS.magic, XSK_HINTS_MAGIC),
    alu('mov', 'r9', XSK_HINTS_VALID),
    ...(timestamp === undefined
      ? []
      : [
          alu('mov', 'r1', 'r7'),
          alu('mov', 'r2', 'r8'),
          alu('add', 'r2', XSK_HINTS.timestamp),
          callKernelFunction(timestamp),
          jumpIf32('ne', 'r0', 0, 'no timestamp'),
          alu('or', 'r9', XSK_HINTS_TIMESTAMP),
          label('no timestamp'),
        ]),
    ...(vlan === undefined
      ? []
      : [
          alu('mov', 'r1', 'r7'),
          alu('mov', 'r2', 'r8'),
          alu('add', 'r2', XSK_HINTS.vlanTpid),
          alu('mov', 'r3', 'r8'),
          alu('add', 'r3', XSK_HINTS.vlanTci),
          callKernelFunction(vlan),
          jumpIf32('ne', 'r0', 0, 'no tag'),
          alu('or', 'r9', XSK_HINTS_VLAN),
          label('no tag'),
        ]),
    store('h', 'r8', XSK_HINTS.valid, 'r9'),
    label('counted'),
  ]
}

/** Adds 1 to a word of the value at r0: no other program runs on this CPU meanwhile. */
export function countAt(word: number): Statement[] {
  return [load('dw', 'r1', 'r0', word * 8), alu('add', 'r1', 1), store('dw', 'r0', word * 8, 'r1')]
}
