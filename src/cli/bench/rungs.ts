/** The ladder as data. A rung is one more line here. */

export interface Rung {
  name: string
  /** The command of ringtap, and its options; worker, namespace and output options are added. */
  command: 'capture' | 'count'
  options: readonly string[]
  /** Workers: one; one a core, joined by `fanout`; one a receive queue; or nobody in user space. */
  workers: 'one' | 'cores' | 'queues' | 'none'
  fanout: 'cpu' | null
  /** Program in bench/reference/ that does the same in C, with its options. */
  twin: { source: string; options: readonly string[] } | null
  /** What this rung changes against the one before it. */
  change: string
  /** What the article measured on it (eight cores, an ixgbe card, a SYN flood), or hopes for. */
  article: { packetsPerSecond: number; isGoal?: true } | null
  inDriver: DriverOverlap
}

/** What the driver of the interface counts among its drops, though the receiver has it in its own account. */
export interface DriverOverlap {
  /** Drops of the receiver, by its names for them. */
  drops: readonly string[]
  /** Counters of the driver for frames that the receiver has received. */
  received: readonly string[]
}

/** 10 Gbit/s of minimum-size frames: 64 bytes with the FCS, and 20 of preamble and gap. */
export const LINE_RATE_10G = 10e9 / 8 / 84

const NOTHING_TWICE: DriverOverlap = { drops: [], received: [] }
/** A native XDP program runs in the driver, which takes a frame that no socket could take for one that it lost itself. */
const FAILED_REDIRECTS: DriverOverlap = { drops: ['fillRing', 'rxRing', 'oversize', 'redirect'], received: [] }
/** Frames that the program has counted and then dropped. */
const COUNTED_AND_DROPPED: DriverOverlap = { drops: [], received: ['xdp_drops'] }

export const RUNGS: readonly Rung[] = [
  {
    name: 'recv',
    command: 'capture',
    options: ['--backend', 'recv'],
    workers: 'one',
    fanout: null,
    twin: { source: 'recv.c', options: [] },
    change: 'one AF_PACKET socket; each packet is copied to user space by a system call',
    article: { packetsPerSecond: 200_000 },
    inDriver: NOTHING_TWICE,
  },
  {
    name: 'recv+fanout',
    command: 'capture',
    options: ['--backend', 'recv'],
    workers: 'cores',
    fanout: 'cpu',
    twin: { source: 'recv.c', options: [] },
    change: 'a socket for each core, joined by PACKET_FANOUT: cores no longer wait for one lock',
    article: { packetsPerSecond: 2_200_000 },
    inDriver: NOTHING_TWICE,
  },
  {
    name: 'ring',
    command: 'capture',
    options: ['--backend', 'ring'],
    workers: 'one',
    fanout: null,
    twin: { source: 'ring.c', options: [] },
    change: 'one TPACKET_V3 ring in shared memory: no system call a packet',
    article: { packetsPerSecond: 3_700_000 },
    inDriver: NOTHING_TWICE,
  },
  {
    name: 'ring+fanout',
    command: 'capture',
    options: ['--backend', 'ring'],
    workers: 'cores',
    fanout: 'cpu',
    twin: { source: 'ring.c', options: [] },
    change: 'a ring for each core, joined by PACKET_FANOUT',
    article: { packetsPerSecond: 9_000_000 },
    inDriver: NOTHING_TWICE,
  },
  {
    name: 'xdp',
    command: 'capture',
    options: ['--backend', 'xdp', '--exclusive'],
    workers: 'queues',
    fanout: null,
    twin: { source: 'xdp.c', options: [] },
    change: 'an AF_XDP socket for each receive queue: the driver hands the frame over, and no sk_buff is made of it',
    article: { packetsPerSecond: LINE_RATE_10G, isGoal: true },
    inDriver: FAILED_REDIRECTS,
  },
  {
    name: 'xdp generic',
    command: 'capture',
    options: ['--backend', 'xdp', '--exclusive', '--xdp-mode', 'generic'],
    workers: 'queues',
    fanout: null,
    twin: { source: 'xdp.c', options: ['-g'] },
    change: 'the same where a driver knows no XDP, and no step up: the sk_buff is made first, and the frame is copied out of it',
    article: null,
    inDriver: NOTHING_TWICE,
  },
  {
    name: 'kernel count',
    command: 'count',
    options: ['--drop'],
    workers: 'none',
    fanout: null,
    twin: null,
    change: 'no capture: an XDP program counts packets in the driver and drops them. No way to take them can be faster on this machine',
    article: null,
    inDriver: COUNTED_AND_DROPPED,
  },
]

export const RUNG_NAMES: readonly string[] = RUNGS.map((rung) => rung.name)

/** Packets reach user space on it. */
export function isCapture(name: string): boolean {
  return RUNGS.find((rung) => rung.name === name)?.command !== 'count'
}

export function rungWorkers(rung: Rung, { cores, queues }: { cores: number; queues: number }): number {
  switch (rung.workers) {
    case 'none':
      return 0
    case 'one':
      return 1
    case 'cores':
      return cores
    case 'queues':
      return queues
  }
}

/** A worker a queue is what ringtap and its twin have unasked. */
export function saysWorkers(rung: Rung): boolean {
  return rung.workers === 'one' || rung.workers === 'cores'
}

/** How often our own receiver says what it sees. */
export const INTERVAL_MS = 200

/** Arguments of our own receiver, after the program's name. */
export function receiverArguments(rung: Rung, workers: number, interfaceName: string, netns: string): string[] {
  const fanout = rung.fanout === null ? [] : ['--fanout', rung.fanout]
  const count = saysWorkers(rung) ? ['--workers', String(workers)] : []
  return [rung.command, '-i', interfaceName, '--netns', netns, ...rung.options, ...count, ...fanout, '--interval', `${INTERVAL_MS}ms`, '--json']
}
