/** What handlers that check a flood have in common: every byte of a frame, the order of frames, time. */

export interface CheckOptions {
  frameBytes: number
  /** Bytes kept of each. */
  snapLengthBytes: number
  /** State of the flood's random numbers at the start, when one thread sends and one worker reads. */
  random?: string
  /** Milliseconds since 1970 between which time stamps lie. */
  notBeforeMs: number
}

export interface Checked {
  packets: number
  bytes: number
  bad: number
  firstBad: string
  /** Frames that came from the sender in another order than it made them. */
  disordered: number
  /** Frames that the sender made, and that did not come, before the last one that did. */
  missing: number
  timeBackwards: number
  firstMs: number
  lastMs: number
}

export interface CheckState extends Checked {
  options: CheckOptions
  random: bigint
  lastSeconds: number
  lastNanoseconds: number
}

const DESTINATION_MAC = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]
const HEADERS = 54
const LONGEST_GAP = 5_000_000

export function startCheck(options: CheckOptions): CheckState {
  return {
    options,
    random: BigInt(options.random ?? 0),
    packets: 0,
    bytes: 0,
    bad: 0,
    firstBad: '',
    disordered: 0,
    missing: 0,
    timeBackwards: 0,
    firstMs: Number.POSITIVE_INFINITY,
    lastMs: 0,
    lastSeconds: 0,
    lastNanoseconds: 0,
  }
}

/** One frame of a SYN flood, from `at` of `bytes`. */
export function checkFrame(state: CheckState, bytes: Uint8Array, at: number, captured: number, wire: number, seconds: number, nanoseconds: number): void {
  const { frameBytes, snapLengthBytes, random, notBeforeMs } = state.options
  state.packets++
  state.bytes += wire
  const complaint = complaintOf(bytes, at, captured, wire, frameBytes, snapLengthBytes)
  if (complaint !== '') fail(state, `${complaint}: ${Buffer.from(bytes.slice(at, at + captured)).toString('hex')}`)
  if (seconds < state.lastSeconds || (seconds === state.lastSeconds && nanoseconds < state.lastNanoseconds)) state.timeBackwards++
  state.lastSeconds = seconds
  state.lastNanoseconds = nanoseconds
  const ms = seconds * 1000 + nanoseconds / 1e6
  if (ms < state.firstMs) state.firstMs = ms
  if (ms > state.lastMs) state.lastMs = ms
  if (ms < notBeforeMs || ms > Date.now() + 1 || nanoseconds >= 1e9) fail(state, `time ${seconds}.${nanoseconds}, now ${Date.now()}`)
  if (random !== undefined && captured >= 36) follow(state, bytes, at)
}

function fail(state: CheckState, why: string): void {
  state.bad++
  if (state.firstBad === '') state.firstBad = why
}

/** The flood's generator says which address and port come next; what it made and we did not get is missing. */
function follow(state: CheckState, bytes: Uint8Array, at: number): void {
  const source = ((bytes[at + 27] << 16) | (bytes[at + 28] << 8) | bytes[at + 29]) >>> 0
  const port = (bytes[at + 34] << 8) | bytes[at + 35]
  const before = state.random
  for (let gap = 0; gap < LONGEST_GAP; gap++) {
    state.random = BigInt.asUintN(64, state.random * 6364136223846793005n + 1442695040888963407n)
    if (Number(state.random >> 40n) === source && (((Number((state.random >> 16n) & 0xffffn) * 64512) / 65536) | 0) + 1024 === port) {
      state.missing += gap
      return
    }
  }
  state.random = before
  state.disordered++
}

function complaintOf(bytes: Uint8Array, at: number, captured: number, wire: number, frameBytes: number, snapLengthBytes: number): string {
  if (wire !== frameBytes) return `wire length ${wire}`
  if (captured !== Math.min(frameBytes, snapLengthBytes)) return `captured length ${captured}`
  const present = (to: number) => to <= captured
  for (let i = 0; i < 6; i++) if (present(i + 1) && bytes[at + i] !== DESTINATION_MAC[i]) return 'destination MAC'
  if (!present(HEADERS)) return ''
  if (bytes[at + 12] !== 0x08 || bytes[at + 13] !== 0x00) return 'EtherType'
  if (bytes[at + 14] !== 0x45 || bytes[at + 23] !== 6) return 'not IPv4 and TCP'
  if (sum(bytes, at + 14, 20, 0) !== 0xffff) return 'IP checksum'
  for (let i = HEADERS; i < captured; i++) if (bytes[at + i] !== (i & 0xff)) return `payload byte ${i}`
  const length = frameBytes - 34
  if (captured === frameBytes && sum(bytes, at + 34, length, sum(bytes, at + 26, 8, 0) + 6 + length) !== 0xffff) return 'TCP checksum'
  return ''
}

function sum(bytes: Uint8Array, at: number, length: number, start: number): number {
  let total = start
  for (let i = 0; i < length; i += 2) total += (bytes[at + i] << 8) | (i + 1 < length ? bytes[at + i + 1] : 0)
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return total
}

export function resultOf(state: CheckState): Checked {
  const { packets, bytes, bad, firstBad, disordered, missing, timeBackwards, firstMs, lastMs } = state
  return { packets, bytes, bad, firstBad, disordered, missing, timeBackwards, firstMs, lastMs }
}

export function mergeChecked(a: Checked, b: Checked): Checked {
  return {
    packets: a.packets + b.packets,
    bytes: a.bytes + b.bytes,
    bad: a.bad + b.bad,
    firstBad: a.firstBad === '' ? b.firstBad : a.firstBad,
    disordered: a.disordered + b.disordered,
    missing: a.missing + b.missing,
    timeBackwards: a.timeBackwards + b.timeBackwards,
    firstMs: Math.min(a.firstMs, b.firstMs),
    lastMs: Math.max(a.lastMs, b.lastMs),
  }
}
