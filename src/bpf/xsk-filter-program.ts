/**
 * The XDP program of an AF_XDP capture with a filter: a frame that it accepts goes the way that xsk-program.ts has for it; any
 * other is left to the kernel, and counted. Pure; loading is in kernel/bpf-program.ts.
 *
 * A VLAN tag that the NIC takes out of the frame (`ethtool -K IFACE rxvlan off` makes it stop) is not seen by the filter.
 */
import { BPF_FUNC_map_lookup_elem, XDP_MD, XDP_PASS } from '../kernel/abi/ebpf.js'
import type { Instruction } from './classic.js'
import { filterToXdp } from './classic-to-ebpf.js'
import { alu, call, exit, jumpIf, label, load, loadMap, type Statement, store } from './ebpf.js'
import { countAt, XSK_QUEUE, type XskProgramOptions, xskProgram } from './xsk-program.js'

export interface XskFilterProgramOptions extends XskProgramOptions {
  /** Frames may lie in several buffers: to be loaded with BPF_F_XDP_HAS_FRAGS. Default false. */
  multiBuffer?: boolean | undefined
}

/** @throws CaptureError INVALID_OPTION for a filter that filterToXdp refuses. */
export function xskFilterProgram(program: readonly Instruction[], options: XskFilterProgramOptions = {}): Statement[] {
  const filter = filterToXdp(program, { accept: 'accepted', reject: 'filtered', multiBuffer: options.multiBuffer })
  const jumpsTo = (target: string) => filter.some((it) => 'target' in it && it.target === target)
  return [
    alu('mov', 'r6', 'r1'),
    ...filter,
    ...(jumpsTo('filtered') ? countFiltered() : []),
    ...(jumpsTo('accepted') ? [label('accepted'), alu('mov', 'r1', 'r6'), ...xskProgram(options)] : []),
  ]
}

function countFiltered(): Statement[] {
  return [
    label('filtered'),
    load('w', 'r2', 'r6', XDP_MD.rx_queue_index),
    store('w', 'r10', -4, 'r2'),
    loadMap('r1', 'queues'),
    alu('mov', 'r2', 'r10'),
    alu('add', 'r2', -4),
    call(BPF_FUNC_map_lookup_elem),
    jumpIf('eq', 'r0', 0, 'not counted'),
    ...countAt(XSK_QUEUE.filtered),
    label('not counted'),
    alu('mov', 'r0', XDP_PASS),
    exit(),
  ]
}
