/**
 * The loaded flood program, shared by all threads of a flood: the program, the memory in which it counts, and what keeps it
 * in the kernel's XDP dispatcher.
 */
import { assemble } from '../bpf/ebpf.js'
import { FLOOD_STATE, type FloodProgramOptions, floodProgram } from '../bpf/flood-program.js'
import { attachXdp, type XdpLink } from '../kernel/bpf-link.js'
import { BpfCell } from '../kernel/bpf-map.js'
import { loadProgram } from '../kernel/bpf-program.js'
import type { Descriptor } from '../kernel/descriptor.js'
import { createNamespace, withNamespace } from '../kernel/namespace.js'
import { createVethPair, getLink, RouteSocket } from '../kernel/netlink.js'
import type { Kernel } from '../kernel/system.js'

export interface FloodEngine {
  readonly programFd: number
  readonly frame: Uint8Array
  readonly stateFd: number
  readonly stateWords: number
  /** Packets made on a CPU so far. After `close` those of the moment of closing. */
  made(cpu: number): number
  close(): void
}

export function openFloodEngine(kernel: Kernel, options: Omit<FloodProgramOptions, 'stateCpus'>, cpus: readonly number[], seed: number): FloodEngine {
  const stateCpus = Math.max(...cpus) + 1
  const stateWords = stateCpus * FLOOD_STATE.words
  const opened: Disposable[] = []
  const keep = <T extends Disposable>(it: T): T => {
    opened.push(it)
    return it
  }
  const closeAll = () => {
    for (const it of opened.splice(0).reverse()) it[Symbol.dispose]()
  }
  try {
    const stateFd = keep(BpfCell.create(kernel, 'ringtap_count', stateWords)).fd
    const state = new BpfCell(kernel, stateFd, stateWords)
    for (let cpu = 0; cpu < stateCpus; cpu++) {
      // Neighbouring seeds would begin alike; the golden ratio spreads them.
      state.words[cpu * FLOOD_STATE.words + FLOOD_STATE.random] = BigInt.asUintN(64, BigInt(seed * stateCpus + cpu + 1) * 0x9e3779b97f4a7c15n)
    }
    state.write()
    const { statements, frame } = floodProgram({ ...options, stateCpus })
    const program = keep(loadProgram(kernel, { name: 'ringtap_flood', type: 'xdp', code: assemble(statements, { state: stateFd }) }))
    const namespace = keep(createNamespace(kernel))
    // Kept inside: should the way back fail, nothing is answered.
    withNamespace(kernel, namespace, () => keep(parkProgram(kernel, program, namespace)))
    let open = true
    return {
      programFd: program.fd,
      frame,
      stateFd,
      stateWords,
      made(cpu) {
        if (open) state.read()
        return Number(state.words[cpu * FLOOD_STATE.words + FLOOD_STATE.made])
      },
      close() {
        if (!open) return
        open = false
        try {
          state.read()
        } finally {
          closeAll()
        }
      },
    }
  } catch (error) {
    closeAll()
    throw error
  }
}

/**
 * Attaches the program to a veth that is down, alone in a namespace, where it never runs: a program that is attached stays in
 * the XDP dispatcher, and runs of a few milliseconds do not wait for RCU (kernel/bpf-program.ts, liveFrames).
 */
function parkProgram(kernel: Kernel, program: Descriptor, namespace: Descriptor): XdpLink {
  using route = RouteSocket.open(kernel)
  const end = { namespaceFd: namespace.fd, queues: 1, mtu: 1500 }
  createVethPair(route, { ...end, name: 'park0' }, { ...end, name: 'park1' })
  return attachXdp(kernel, { program, interfaceName: 'park0', interfaceIndex: getLink(route, 'park0').index, mode: 'native' })
}
