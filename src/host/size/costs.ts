/** What a packet costs a core, by backend: as measured by `ringtap bench`, or taken from such a measurement. Pure. */
import { CaptureError } from '../../errors.js'

export const SIZED_BACKENDS = ['ring', 'xdp'] as const
export type SizedBackend = (typeof SIZED_BACKENDS)[number]

/** Nanoseconds of a core. */
export interface PacketCosts {
  /** The kernel: driver, what it builds around the packet, the ring. */
  kernelNs: number
  /** The worker without its handler: waking, walking, counting. */
  workerNs: number
  /** Where they are from, in words. */
  source: string
}

/**
 * What a NIC's driver takes for a frame before anything is done with it, with room to spare: "The eXpress Data Path" (CoNEXT 2018) has an
 * XDP program drop 24 million packets a second on one core of an mlx5, 42 ns each.
 */
export const NIC_DRIVER_NS = 60

/**
 * `ringtap bench` on two cores of a virtual AMD EPYC, Linux 6.18, Node.js 20 (README.md): busy time of all cores a packet, 855 ns on
 * ring+fanout, 381 ns on xdp, less the 183 ns of kernel count, in which the generator's work and the veth's are, less the worker's own.
 */
const DEFAULTS: Readonly<Record<SizedBackend, { kernelNs: number; workerNs: number }>> = {
  ring: { kernelNs: 645 + NIC_DRIVER_NS, workerNs: 27 },
  xdp: { kernelNs: 174 + NIC_DRIVER_NS, workerNs: 24 },
}

export function defaultCosts(backend: SizedBackend): PacketCosts {
  return { ...DEFAULTS[backend], source: 'defaults, measured on 2 cores of a virtual AMD EPYC with Linux 6.18; ringtap bench --json measures this machine' }
}

/** Of the document that `ringtap bench --json` prints: as much as is read of it. */
interface BenchRung {
  name: string
  received: number
  userNsPerPacket: number
  systemNsPerPacket: number
  cores: { idle: number; steal: number }[]
}

const RUNG_OF: Readonly<Record<SizedBackend, string>> = { ring: 'ring+fanout', xdp: 'xdp' }
const BASELINE = 'kernel count'

/**
 * The costs that a `ringtap bench --json` document tells. All of the machine was busy with generating, receiving and reading; what
 * `kernel count` needs, which generates and receives and no more, is taken off, and a NIC's driver put in its place.
 * @throws CaptureError INVALID_OPTION for anything else, and for a bench without the rungs that it takes.
 */
export function measuredCosts(document: unknown, backend: SizedBackend): PacketCosts {
  if (!isRecord(document) || document.type !== 'bench' || !Array.isArray(document.rungs)) {
    throw new CaptureError('INVALID_OPTION', 'Expected measured costs to be the document of ringtap bench --json', {
      hint: 'ringtap bench --json > bench.json',
    })
  }
  const rungs = document.rungs.filter(isRung)
  const find = (name: string): BenchRung => {
    const rung = rungs.find((it) => it.name === name)
    if (rung !== undefined) return rung
    const hint = `ringtap bench --rungs '${RUNG_OF[backend]},${BASELINE}' --json > bench.json`
    throw new CaptureError('INVALID_OPTION', `Expected measured costs to have the rung ${name}, got ${rungs.map((it) => it.name).join(', ') || 'none'}`, {
      hint,
    })
  }
  const rung = find(RUNG_OF[backend])
  const workerNs = rung.userNsPerPacket + rung.systemNsPerPacket
  // NB: bounded below: on a machine with other work the difference of two noisy figures may be anything.
  const kernelNs = Math.max(0, busyNsPerPacket(rung) - busyNsPerPacket(find(BASELINE)) - workerNs) + NIC_DRIVER_NS
  const machine = isRecord(document.machine) ? [document.machine.cpu, document.machine.kernel].filter((it) => typeof it === 'string').join(', Linux ') : ''
  return {
    kernelNs,
    workerNs,
    source: `ringtap bench${typeof document.startedAt === 'string' ? ` of ${document.startedAt}` : ''}${machine && ` (${machine})`}`,
  }
}

function busyNsPerPacket(rung: BenchRung): number {
  const busy = rung.cores.reduce((sum, core) => sum + 1 - core.idle - core.steal, 0)
  return (busy * 1e9) / rung.received
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isRung(value: unknown): value is BenchRung {
  if (!isRecord(value) || typeof value.name !== 'string' || !Array.isArray(value.cores)) return false
  const numbers = [
    value.received,
    value.userNsPerPacket,
    value.systemNsPerPacket,
    ...value.cores.flatMap((core) => (isRecord(core) ? [core.idle, core.steal] : [Number.NaN])),
  ]
  return numbers.every((it) => typeof it === 'number' && it >= 0) && (value.received as number) > 0
}
