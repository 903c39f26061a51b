/** Which CPUs serve an interface's receive queues, from what /sys and /proc tell of its interrupts. */
import { readdirSync, readFileSync } from 'node:fs'
import { parseCpuList } from '../kernel/cpus.js'

/**
 * The interrupts among `irqs` that look like those of receive queues, in queue order, by their names in /proc/interrupts:
 * `eth0-TxRx-3`, `eth0-rx-3`, `virtio0-input.3`, `mlx5_comp3@pci:…`, `nvme`-like names do not.
 */
export function receiveInterrupts(interrupts: string, irqs: ReadonlySet<number>): number[] {
  const found: { irq: number; queue: number }[] = []
  for (const line of interrupts.split('\n')) {
    const irq = Number(/^\s*(\d+):/.exec(line)?.[1] ?? Number.NaN)
    if (!irqs.has(irq)) continue
    const queue = /(?:rx|txrx|input|comp)[-_.]?(\d+)/i.exec(line.trim().split(/\s+/).at(-1) ?? '')?.[1]
    if (queue !== undefined) found.push({ irq, queue: Number(queue) })
  }
  return found.sort((a, b) => a.queue - b.queue).map(({ irq }) => irq)
}

/**
 * The CPU of each receive queue of an interface of this network namespace. Where the machine does not tell (virtual interfaces,
 * other namespaces), queue i is taken to be served by the i-th of `allowed`, as a veth's is.
 */
export function queueCpus(name: string, allowed: readonly number[]): number[] {
  try {
    const irqs = new Set(readdirSync(`/sys/class/net/${name}/device/msi_irqs`).map(Number))
    const cpus = receiveInterrupts(readFileSync('/proc/interrupts', 'utf8'), irqs).map((irq) => {
      const list = parseCpuList(readFileSync(`/proc/irq/${irq}/effective_affinity_list`, 'utf8'))
      return list.find((cpu) => allowed.includes(cpu))
    })
    const known = cpus.filter((cpu) => cpu !== undefined)
    if (known.length > 0) return known
  } catch {
    // No such files: a virtual interface, another namespace, or an old kernel.
  }
  return [...allowed]
}
