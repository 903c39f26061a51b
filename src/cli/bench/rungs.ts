/** The ladder as data, slowest first. A rung is one more line here. */

export interface Rung {
  name: string
  /** Options of `ringtap capture`. */
  backend: 'recv' | 'ring'
  fanout: 'cpu' | null
  /** Program in bench/reference/ that does the same in C. */
  twin: string
  /** What this rung changes against the one before it. */
  change: string
  /** What the article measured on it: eight cores, an ixgbe card, a SYN flood. */
  articlePacketsPerSecond: number
}

export const RUNGS: readonly Rung[] = [
  {
    name: 'recv',
    backend: 'recv',
    fanout: null,
    twin: 'recv.c',
    change: 'one AF_PACKET socket; each packet is copied to user space by a system call',
    articlePacketsPerSecond: 200_000,
  },
  {
    name: 'recv+fanout',
    backend: 'recv',
    fanout: 'cpu',
    twin: 'recv.c',
    change: 'a socket for each core, joined by PACKET_FANOUT: cores no longer wait for one lock',
    articlePacketsPerSecond: 2_200_000,
  },
  {
    name: 'ring',
    backend: 'ring',
    fanout: null,
    twin: 'ring.c',
    change: 'one TPACKET_V3 ring in shared memory: no system call a packet',
    articlePacketsPerSecond: 3_700_000,
  },
  {
    name: 'ring+fanout',
    backend: 'ring',
    fanout: 'cpu',
    twin: 'ring.c',
    change: 'a ring for each core, joined by PACKET_FANOUT',
    articlePacketsPerSecond: 9_000_000,
  },
]

/** 10 Gbit/s of minimum-size frames: 64 bytes with the FCS, and 20 of preamble and gap. */
export const LINE_RATE_10G = 10e9 / 8 / 84

export const RUNG_NAMES: readonly string[] = RUNGS.map((rung) => rung.name)

export function rungWorkers(rung: Rung, cores: number): number {
  return rung.fanout === null ? 1 : cores
}

/** How often our own receiver says what it sees. */
export const INTERVAL_MS = 200

/** Arguments of our own receiver, after the program's name. */
export function captureArguments(rung: Rung, workers: number, interfaceName: string, netns: string): string[] {
  const fanout = rung.fanout === null ? [] : ['--fanout', rung.fanout]
  return [
    'capture',
    '-i',
    interfaceName,
    '--netns',
    netns,
    '--backend',
    rung.backend,
    '--workers',
    String(workers),
    ...fanout,
    '--interval',
    `${INTERVAL_MS}ms`,
    '--json',
  ]
}
