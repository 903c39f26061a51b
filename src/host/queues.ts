/** Which CPUs serve an interface's receive queues. Pure. */
import type { HostFiles } from './host-files.js'
import { readInterrupts } from './interrupts.js'

/**
 * The CPU of each receive queue of an interface, as its interrupts go. Where the machine does not tell (virtual interfaces), queue i is
 * taken to be served by the i-th of `allowed`, as a veth's is.
 */
export function queueCpus(files: HostFiles, interfaceName: string, allowed: readonly number[]): number[] {
  const serving = readInterrupts(files, interfaceName, []).filter(({ queue }) => queue !== undefined)
  serving.sort((a, b) => (a.queue ?? 0) - (b.queue ?? 0))
  const cpus = serving.flatMap(({ effective, affinity }) => (effective ?? affinity ?? []).filter((cpu) => allowed.includes(cpu)).slice(0, 1))
  return cpus.length > 0 ? cpus : [...allowed]
}
