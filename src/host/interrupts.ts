/** /proc/interrupts: which of its lines belong to an interface, and which receive queue each of them serves. Pure. */
import { parseCpuList } from '../kernel/cpus.js'
import type { CpuFacts, InterruptFacts, UnreadFact } from './facts.js'
import { readCpus } from './host-facts.js'
import { type HostFiles, isUnreadable, listNames, readLine, readNumber, unreadFact } from './host-files.js'

export interface InterruptLine {
  irq: number
  /** As the drivers named it; those of several that share a line are separated by `, `. */
  name: string
  /** By CPU number; the kernel lists online CPUs only. */
  counts: Record<number, number>
}

/** The numbered lines; those of the architecture (`NMI`, `LOC`) are left out. */
export function parseInterrupts(text: string): InterruptLine[] {
  const [head = '', ...lines] = text.split('\n')
  const cpus = [...head.matchAll(/CPU(\d+)/g)].map((match) => Number(match[1]))
  return lines.flatMap((line) => {
    const numbered = /^\s*(\d+):(.*)$/.exec(line)
    if (numbered === null) return []
    const fields = (numbered[2] as string).trim().split(/\s+/)
    const counts = Object.fromEntries(cpus.map((cpu, column) => [cpu, Number(fields[column])]))
    const name = namesOf(fields.slice(cpus.length)).join(' ')
    return [{ irq: Number(numbered[1]), name, counts }]
  })
}

/**
 * What follows the chip, the number on the chip and the trigger: `IR-PCI-MSI 524291-edge`, `PCI-MSI-edge`, `ITS-MSI 524291 Edge`, `GICv3 27 Level`,
 * `xen-dyn -event`.
 */
function namesOf([, ...rest]: readonly string[]): string[] {
  if (/^(\d+(-\S+)?|-\S+)$/.test(rest[0] ?? '')) rest.shift()
  if (rest[0] === 'Edge' || rest[0] === 'Level') rest.shift()
  return rest
}

/**
 * Receive queue that an interrupt serves, by its driver's custom: `eth0-TxRx-3` (ixgbe, igb, bnxt), `i40e-eth0-TxRx-3`, `ice-eth0-TxRx-3`,
 * `eth0-rx-3` (e1000e, igb), `eth0-rxtx-3` (vmxnet3), `eth0-Tx-Rx-3` (ena), `virtio0-input.3`, `mlx5_comp3@pci:0000:3b:00.0`, `eth0-Rx3`
 * (cxgb4), `eth0-fp-3` (qede, bnx2x), `mana_q3@pci:…`, `eth0:rx-3` (stmmac), `eth0_rxq3` (hinic), `ionic-eth0-L0-rx3`, `eth0-q3-rx` (Xen),
 * `eth0-3` (sfc, mlx4 before Linux 4.2). Undefined for all others: transmit, link, mailbox, flow director, and those of drivers whose names alone
 * do not tell (UNTOLD).
 */
export function receiveQueueOf(name: string, interfaceName: string): number | undefined {
  const [own = ''] = name.split('@')
  // i40e's flow director has a vector that is called like a queue's.
  if (/fdir/i.test(own)) return undefined
  const queue = /[-_:](?:tx-?rx|rx-?tx|rxq?|input|comp|fp|q)[-_.]?(\d+)$/i.exec(own)?.[1] ?? /-q(\d+)-rx$/.exec(own)?.[1]
  if (queue !== undefined) return Number(queue)
  const bare = own.startsWith(`${interfaceName}-`) ? own.slice(interfaceName.length + 1) : ''
  return /^\d+$/.test(bare) ? Number(bare) : undefined
}

/** The interrupts of an interface in the order of their numbers, with where they may go. What cannot be read is told to `unread`. */
export function readInterrupts(files: HostFiles, interfaceName: string, unread: UnreadFact[]): InterruptFacts[] {
  const text = files.read('/proc/interrupts')
  if (isUnreadable(text)) {
    unread.push(unreadFact('interrupts', '/proc/interrupts', text))
    return []
  }
  const lines = linesOf(files, parseInterrupts(text), interfaceName)
  const queues = queuesOf(files, lines, interfaceName)
  return lines.map(({ irq, name, counts }) => {
    const path = `/proc/irq/${irq}/smp_affinity_list`
    const affinity = files.read(path)
    const what = 'interrupt affinity'
    // Once will do: what hides one hides all.
    if (isUnreadable(affinity) && !unread.some((fact) => fact.what === what)) unread.push(unreadFact(what, path, affinity))
    return {
      irq,
      name,
      queue: queues.get(irq),
      affinity: isUnreadable(affinity) ? undefined : parseCpuList(affinity),
      effective: cpuListOf(readLine(files, `/proc/irq/${irq}/effective_affinity_list`)),
      counts,
    }
  })
}

/** By their numbers, which the device's folder lists; else by their names. */
function linesOf(files: HostFiles, lines: readonly InterruptLine[], interfaceName: string): InterruptLine[] {
  const device = `/sys/class/net/${interfaceName}/device`
  // The device of a virtio interface is on the virtio bus; its interrupts are those of the PCI device behind it.
  const numbers = [`${device}/msi_irqs`, `${device}/../msi_irqs`].map((path) => listNames(files, path)).find((names) => names.length > 0)
  const legacy = [readLine(files, `${device}/irq`)].filter((irq) => irq !== undefined && irq !== '0')
  const own = new Set((numbers ?? legacy).map(Number))
  const virtio = /\/(virtio\d+)$/.exec(linkOf(files, device))?.[1]
  const isNamed = (line: InterruptLine) => mentions(line, interfaceName) || (virtio !== undefined && mentions(line, virtio))
  if (own.size === 0) return lines.filter(isNamed)
  // A device of several ports or functions has the interrupts of all of them in one folder.
  const siblings = listNames(files, `${device}/net`).filter((name) => name !== interfaceName)
  return lines.filter((line) => own.has(line.irq) && (isNamed(line) || !siblings.some((sibling) => mentions(line, sibling))))
}

/** NB: no colon before it: `ehci_hcd:usb1` is no interrupt of the interface usb1. */
function mentions(line: InterruptLine, name: string): boolean {
  return new RegExp(`(^|[-@, ])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}($|[-@, :_])`).test(line.name)
}

function linkOf(files: HostFiles, path: string): string {
  const target = files.link(path)
  return isUnreadable(target) ? '' : target
}

function queuesOf(files: HostFiles, lines: readonly InterruptLine[], interfaceName: string): Map<number, number> {
  for (const queuesBy of Object.values(UNTOLD)) {
    const queues = queuesBy(files, lines, interfaceName)
    if (queues !== undefined) return new Map([...queues].filter(([, queue]) => hasQueue(files, interfaceName, queue)))
  }
  const queues = new Map(
    lines.flatMap(({ irq, name }) => {
      const queue = receiveQueueOf(name, interfaceName)
      return queue === undefined ? [] : [[irq, queue] as const]
    }),
  )
  // One interrupt for everything.
  const [only] = lines
  if (queues.size === 0 && lines.length === 1 && only !== undefined) return new Map([[only.irq, 0]])
  // tg3 keeps its first vector for the link, and counts on from there.
  const lowest = Math.min(...queues.values())
  return lowest === 1 ? new Map([...queues].map(([irq, queue]) => [irq, queue - 1])) : queues
}

/** Vectors may be more than queues. True where that is not to be seen. */
function hasQueue(files: HostFiles, interfaceName: string, queue: number): boolean {
  const names = listNames(files, `/sys/class/net/${interfaceName}/queues`)
  return names.length === 0 || names.includes(`rx-${queue}`)
}

type Queues = (files: HostFiles, lines: readonly InterruptLine[], interfaceName: string) => Map<number, number> | undefined

/** Drivers whose names alone do not tell the queue: undefined where the interrupts are of none of them. */
const UNTOLD: Readonly<Record<string, Queues>> = {
  /** Google's: `gve-ntfy-blk17@pci:…`, before Linux 6.2 `eth0-ntfy-block.17`. The first half of all blocks is for transmit queues (gve_rx_idx_to_ntfy). */
  gve(_, lines) {
    const blocks = numbered(lines, /(?:^gve-ntfy-blk|-ntfy-block\.)(\d+)(?:@|$)/)
    if (blocks.length === 0) return undefined
    return new Map(blocks.flatMap(({ irq, number }) => (number < blocks.length / 2 ? [] : [[irq, number - blocks.length / 2] as const])))
  },
  /**
   * `mlx4-5@0000:05:00.0`, since Linux 4.2: event queue 0 is for events of the device, n is that of CPU n - 1, and receive queue i is on the i-th
   * CPU from the device (cpumask_local_spread). Of two ports, the names do not tell whose it is.
   */
  mlx4(files, lines, interfaceName) {
    const vectors = numbered(lines, /^mlx4-(\d+)@/)
    if (vectors.length === 0) return undefined
    if (listNames(files, `/sys/class/net/${interfaceName}/device/net`).length > 1) return new Map()
    const cpus = nearestFirst(files, interfaceName)
    return new Map(
      vectors.flatMap(({ irq, number }) => {
        const queue = cpus === undefined ? -1 : cpus.indexOf(number - 1)
        return queue < 0 ? [] : [[irq, queue] as const]
      }),
    )
  },
  /** All vectors have the name of the interface: those of the queues in their order, then that of the link (aq_nic_start). */
  atlantic(files, lines, interfaceName) {
    if (!/\/atlantic$/.test(linkOf(files, `/sys/class/net/${interfaceName}/device/driver`))) return undefined
    const own = lines.filter(({ name }) => name === interfaceName)
    return own.length < 2 ? undefined : new Map(own.map(({ irq }, index) => [irq, index]))
  },
}

function numbered(lines: readonly InterruptLine[], pattern: RegExp): { irq: number; number: number }[] {
  return lines.flatMap(({ irq, name }) => {
    const number = pattern.exec(name)?.[1]
    return number === undefined ? [] : [{ irq, number: Number(number) }]
  })
}

/** CPUs of the device's NUMA node, then the others; undefined where there are more than two nodes: the kernel goes by distances then. */
function nearestFirst(files: HostFiles, interfaceName: string): number[] | undefined {
  const cpus = readCpus(files, [])
  if (new Set(cpus.map(({ numaNode }) => numaNode)).size > 2) return undefined
  const node = readNumber(files, `/sys/class/net/${interfaceName}/device/numa_node`)
  const isNear = ({ numaNode }: CpuFacts) => node === undefined || node < 0 || numaNode === node
  return [...cpus.filter(isNear), ...cpus.filter((it) => !isNear(it))].map(({ cpu }) => cpu)
}

function cpuListOf(text: string | undefined): number[] | undefined {
  return text === undefined ? undefined : parseCpuList(text)
}
