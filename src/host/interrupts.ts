/** /proc/interrupts: which of its lines belong to an interface, and which receive queue each of them serves. Pure. */
import { parseCpuList } from '../kernel/cpus.js'
import type { InterruptFacts, UnreadFact } from './facts.js'
import { type HostFiles, isUnreadable, listNames, readLine, unreadFact } from './host-files.js'

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

/** What follows the chip, the number on the chip and the trigger: `IR-PCI-MSI 524291-edge`, `PCI-MSI-edge`, `ITS-MSI 524291 Edge`, `GICv3 27 Level`. */
function namesOf([, ...rest]: readonly string[]): string[] {
  if (/^\d+(-\S+)?$/.test(rest[0] ?? '')) rest.shift()
  if (rest[0] === 'Edge' || rest[0] === 'Level') rest.shift()
  return rest
}

/**
 * Receive queue that an interrupt serves, by its driver's custom: `eth0-TxRx-3` (ixgbe, igb, bnxt), `i40e-eth0-TxRx-3`, `ice-eth0-TxRx-3`,
 * `eth0-rx-3` (e1000e, igb), `eth0-rxtx-3` (vmxnet3), `eth0-Tx-Rx-3` (ena), `virtio0-input.3`, `mlx5_comp3@pci:0000:3b:00.0`, `eth0-Rx3`
 * (cxgb4), `eth0-fp-3` (qede, bnx2x), `mana_q3@pci:…`, `eth0-3` (sfc, mlx4). Undefined for all others: transmit, link, mailbox, flow director.
 */
export function receiveQueueOf(name: string, interfaceName: string): number | undefined {
  const [own = ''] = name.split('@')
  // i40e's flow director has a vector that is called like a queue's.
  if (/fdir/i.test(own)) return undefined
  const queue = /[-_](?:tx-?rx|rx-?tx|rx|input|comp|fp|q)[-_.]?(\d+)$/i.exec(own)?.[1]
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
  const queues = queuesOf(lines, interfaceName)
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

function mentions(line: InterruptLine, name: string): boolean {
  return new RegExp(`(^|[-@, ])${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}($|[-@, ])`).test(line.name)
}

function linkOf(files: HostFiles, path: string): string {
  const target = files.link(path)
  return isUnreadable(target) ? '' : target
}

function queuesOf(lines: readonly InterruptLine[], interfaceName: string): Map<number, number> {
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

function cpuListOf(text: string | undefined): number[] | undefined {
  return text === undefined ? undefined : parseCpuList(text)
}
