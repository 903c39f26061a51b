/** Bench results for the tests of what is made from them. The figures are invented. */
import type { Accounting, BenchResult, CoreLoad, ReferenceResult, RungResult, RunResult } from '#src/cli/bench/result.js'

export function sampleAccounting(offered: number, drops: Record<string, number>): Accounting {
  const lost = Object.values(drops).reduce((a, b) => a + b, 0)
  return { offered, received: offered - lost, drops, unaccounted: 0 }
}

export function sampleCores(): CoreLoad[] {
  return [
    { cpu: 0, user: 0.12, system: 0.41, softirq: 0.44, steal: 0.01, idle: 0.02 },
    { cpu: 1, user: 0.08, system: 0.45, softirq: 0.47, steal: 0, idle: 0 },
  ]
}

/** `received` and `dropped` are rates, over two seconds. */
export function sampleRun(received: number, dropped: number, nsPerPacket: [user: number, system: number] = [20, 5]): RunResult {
  const seconds = 2
  const warmUp = 200_000
  return {
    seconds,
    offered: (received + dropped) * seconds,
    received: received * seconds,
    dropped: dropped * seconds,
    userMs: (received * seconds * nsPerPacket[0]) / 1e6,
    systemMs: (received * seconds * nsPerPacket[1]) / 1e6,
    cores: sampleCores(),
    timeline: Array.from({ length: 10 }, (_, index) => ({
      seconds: (index + 1) * 0.2,
      received: received * (1 + 0.05 * Math.sin(index)),
      dropped: dropped * (1 - 0.1 * Math.cos(index)),
    })),
    accounting: sampleAccounting((received + dropped) * seconds + warmUp, { wire: 0, interface: 0, socket: dropped * seconds, ring: 0 }),
  }
}

export function sampleReference(received: number, ratio: number, name = 'ring.c -w 1'): ReferenceResult {
  return {
    name,
    offered: received * 1.1,
    received,
    dropped: received * 0.1,
    ratio,
    ratioMin: ratio - 0.04,
    ratioMax: ratio + 0.05,
    cores: sampleCores(),
    userNsPerPacket: 14,
    systemNsPerPacket: 3,
    runs: [sampleRun(received * 0.97, 1000), sampleRun(received, 1000), sampleRun(received * 1.02, 1000)],
  }
}

export function sampleRung(name: string, received: number, dropped: number): RungResult {
  return {
    name,
    workers: name.endsWith('fanout') ? 2 : 1,
    fanout: name.endsWith('fanout') ? 'cpu' : null,
    offered: received + dropped,
    received,
    dropped,
    unaccounted: 0,
    cores: sampleCores(),
    userNsPerPacket: name.startsWith('recv') ? 110 : 12,
    systemNsPerPacket: name.startsWith('recv') ? 620 : 2,
    runs: [sampleRun(received, dropped), sampleRun(received * 1.03, dropped), sampleRun(received * 0.98, dropped)],
    profile: [
      { percent: 23.4, symbol: '_raw_spin_lock', module: 'kernel' },
      { percent: 11.2, symbol: 'tpacket_rcv', module: 'kernel' },
      { percent: 7.9, symbol: 'veth_xdp_rcv.constprop.0', module: 'veth' },
      { percent: 3.25, symbol: 'memcpy_orig', module: 'kernel' },
    ],
    reference: sampleReference(received * 0.92, 1.08),
  }
}

function sampleXdpRung(name: string, received: number, twin: string): RungResult {
  return { ...sampleRung(name, received, 0), workers: 2, userNsPerPacket: 9, systemNsPerPacket: 3, reference: sampleReference(received, 1, twin) }
}

function sampleKernelCount(received: number): RungResult {
  const { profile: _, reference: __, ...rung } = sampleRung('kernel count', received, 0)
  return { ...rung, workers: 0, userNsPerPacket: 0, systemNsPerPacket: 0 }
}

export function sampleResult(): BenchResult {
  return {
    type: 'bench',
    version: '0.1.0',
    startedAt: '2026-01-02T03:04:05.678Z',
    machine: { cpu: 'Example CPU @ 3.00GHz', cores: 2, memoryBytes: 8 * 2 ** 30, kernel: '6.18.0', node: 'v20.19.0', virtual: true },
    seconds: 2,
    warmupSeconds: 1,
    alternations: 3,
    frameBytes: 60,
    flood: { kind: 'syn', cpus: [0, 1] },
    rungs: [
      sampleRung('recv', 870_000, 700_000),
      sampleRung('recv+fanout', 1_340_000, 500_000),
      sampleRung('ring', 1_900_000, 150_000),
      sampleRung('ring+fanout', 3_070_000, 0),
      sampleXdpRung('xdp', 6_400_000, 'xdp.c'),
      sampleXdpRung('xdp generic', 2_000_000, 'xdp.c -g'),
      sampleKernelCount(9_100_000),
    ],
    complete: true,
  }
}
