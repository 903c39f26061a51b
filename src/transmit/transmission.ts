/**
 * One replay: takes packets, waits until each is due, gives it to a sender, and decides what becomes of those that cannot go. Every
 * packet that was taken is sent or stands under the name of what kept it from being sent.
 *
 * It runs in the thread that calls it: `advance` goes on without a pause for some milliseconds and then lets the event loop have its
 * turn, so that a signal or an abort is seen. Distances of more than a few milliseconds are waited for asynchronously, shorter ones by
 * blocking this thread, and the last tenth of a millisecond by looking at the clock again and again.
 *
 * Cost (bench/replay.ts): 35 to 50 ns a packet beside the sender and the kernel.
 */
import { CaptureError } from '../errors.js'
import { IFF_RUNNING, IFF_UP } from '../kernel/abi/if.js'
import { ETH_P_8021Q } from '../kernel/abi/socket.js'
import { callFailed, EAGAIN, EBUSY, EINTR, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENODEV, ENOMEM, ENXIO } from '../kernel/errno.js'
import { sleepThread } from '../kernel/thread.js'
import { type Pace, Schedule } from './schedule.js'
import { ETHER_HEADER, type Sender, VLAN_HLEN } from './sender.js'

/** Why a packet was not sent. */
export interface Refusals {
  /** Longer than the interface's MTU, an Ethernet header and, behind it, an 802.1Q tag. */
  tooLong: number
  /** Shorter than an Ethernet header. */
  tooShort: number
  /** Cut when it was captured, and `truncated` is `skip`. */
  truncated: number
  /** Not of an Ethernet link. */
  linkType: number
  /** The interface was down or had no carrier, or had been removed. */
  down: number
  /** The interface had no room for it, for longer than `roomTimeoutMs`; or the driver dropped it and said so. */
  noRoom: number
  /** The kernel would not send it (EINVAL). */
  invalid: number
}

export interface TransmitCounters {
  /** Taken: `sent` and the sum of `refusals`, once nothing is on its way. */
  packets: number
  /** Handed to the interface. */
  sent: number
  /** Of frames sent, without FCS. */
  sentBytes: number
  refused: number
  refusals: Refusals
  /** Of `sent` and shorter than on the wire that they were captured from. */
  sentTruncated: number
  /** Times that the interface had no room and was waited for. */
  waits: number
}

export interface TransmitTiming {
  /** How late packets were handed to the kernel after they were due. */
  maxErrorNs: number
  meanErrorNs: number
  /** Times that a delay was given up, because it was longer than what is made good, and by how much in all. */
  slips: number
  slippedNs: number
}

/** A packet of a batch, the one that `next` moved to. What `bytes` holds is read at once. */
export interface TransmitBatch {
  /** Moves to the next packet; false at the end of the batch. */
  next(): boolean
  readonly bytes: Uint8Array
  readonly offset: number
  readonly capturedLength: number
  readonly wireLength: number
  readonly seconds: number
  readonly nanoseconds: number
  /** False for a packet without a time: it is due with the one before it, whatever `seconds` and `nanoseconds` say. Default true. */
  readonly hasTimestamp?: boolean | undefined
  /** LINKTYPE_* of pcap; 1 is Ethernet. */
  readonly linkType: number
}

export interface TransmissionOptions {
  pace: Pace
  /** Ends after so many packets, sent or refused. */
  limit: number
  truncated: 'send' | 'skip'
  roomTimeoutMs: number
}

/** How the interface is looked at. */
export interface TransmitInterface {
  name: string
  /** IFF_*; undefined once it is gone. */
  flags(): number | undefined
  mtu(): number | undefined
  /** The kernel tells of every frame that it drops for want of a carrier. */
  tellsCarrier: boolean
}

/** Milliseconds, and how this thread lets them pass. */
export interface TransmitClock {
  now(): number
  sleep(milliseconds: number): void
}

const CLOCK: TransmitClock = { now: () => performance.now(), sleep: sleepThread }

export const LINKTYPE_ETHERNET = 1

/** `advance` is to be called again with the next batch. */
export const NEXT_BATCH = -1
/** Nothing more is to be sent. */
export const FINISHED = -2

/** A delay up to this is made good by sending what is due at once. */
const CATCH_UP_NS = 50e6
/** The event loop has its turn so often. */
const TURN_NS = 10e6
/** From here on a distance is waited for without blocking. */
const LONG_WAIT_NS = 5e6
/** A timer may be so late. */
const TIMER_NS = 2e6
/** A blocked thread may wake so late. */
const WAKE_NS = 120e3
/** Frames that are handed over at once. */
const BATCH = 64
/** Between attempts, while there is no room. */
const ROOM_STEP_MS = 0.05
/** So many attempts without a pause first: a queue of a veth is emptied by this very CPU. */
const HASTY_ATTEMPTS = 2
/** How often the interface is looked at, while it takes nothing, and where the kernel does not tell. */
const LOOK_NS = 50e6
const UP_AND_RUNNING = IFF_UP | IFF_RUNNING

const NO_ROOM: ReadonlySet<number> = new Set([-EAGAIN, -ENOBUFS, -EBUSY, -EINTR, -ENOMEM])
const VLAN_FIRST = ETH_P_8021Q >>> 8

export class Transmission {
  readonly refusals: Refusals = { tooLong: 0, tooShort: 0, truncated: 0, linkType: 0, down: 0, noRoom: 0, invalid: 0 }
  readonly #sender: Sender
  readonly #interface: TransmitInterface
  readonly #options: TransmissionOptions
  readonly #schedule: Schedule
  readonly #paced: boolean
  readonly #clock: TransmitClock
  readonly #originMs: number
  readonly #sentBefore: number
  readonly #bytesBefore: number
  readonly #droppedBefore: number
  #longest: number
  #packets = 0
  #sentTruncated = 0
  #waits = 0
  /** The batch's packet is still to be sent, and when. */
  #isHeld = false
  #dueNs = 0
  /** The clock as it was looked at last. */
  #nowNs = 0
  #turnNs = 0
  #lookNs = 0
  #mtuNs = 0
  #isDownSeen = false
  /** Since when nothing was taken for want of room; undefined while there is room. */
  #stuckNs: number | undefined
  #attempts = 0
  /** The packet for which the sender had no memory, by its number, and since when. */
  #fullPacket = 0
  #fullNs = 0
  /** Of frames put since the last flush. */
  #putCount = 0
  #putDueNs = 0
  #putFirstNs = 0
  #timed = 0
  #errorNs = 0
  #maxErrorNs = 0

  /** The schedule begins now. */
  constructor(sender: Sender, of: TransmitInterface, options: TransmissionOptions, clock = CLOCK) {
    this.#sender = sender
    this.#interface = of
    this.#options = options
    this.#schedule = new Schedule(options.pace)
    this.#paced = options.pace.kind !== 'top'
    this.#clock = clock
    this.#originMs = clock.now()
    this.#sentBefore = sender.packets
    this.#bytesBefore = sender.bytes
    this.#droppedBefore = sender.dropped
    this.#longest = Math.min(this.#longestFor(of.mtu()), sender.room)
  }

  get counters(): TransmitCounters {
    const noRoom = this.refusals.noRoom + this.#sender.dropped - this.#droppedBefore
    const refusals = { ...this.refusals, noRoom }
    return {
      packets: this.#packets,
      sent: this.#sender.packets - this.#sentBefore,
      sentBytes: this.#sender.bytes - this.#bytesBefore,
      refused: Object.values(refusals).reduce((sum, count) => sum + count, 0),
      refusals,
      sentTruncated: this.#sentTruncated,
      waits: this.#waits,
    }
  }

  get timing(): TransmitTiming {
    const { slips, slippedNs } = this.#schedule
    return { maxErrorNs: this.#maxErrorNs, meanErrorNs: this.#timed === 0 ? 0 : this.#errorNs / this.#timed, slips, slippedNs }
  }

  /** Milliseconds since the start. */
  get elapsedMs(): number {
    return this.#clock.now() - this.#originMs
  }

  /** It has been at it for so long that the event loop is to have its turn. */
  get isTurnDue(): boolean {
    return this.#nowNs - this.#turnNs > TURN_NS
  }

  turnTaken(): void {
    this.#turnNs = this.#look()
  }

  nextRound(): void {
    this.#schedule.nextRound()
  }

  /**
   * Sends of a batch what can be sent now. Answers for how many milliseconds nothing is due (0: it is the event loop's turn),
   * NEXT_BATCH or FINISHED.
   */
  advance(batch: TransmitBatch): number {
    const sender = this.#sender
    this.#look()
    for (;;) {
      if (!this.#isHeld) {
        if (this.#packets >= this.#options.limit) {
          this.#flush()
          return FINISHED
        }
        if (!batch.next()) {
          this.#flush()
          return NEXT_BATCH
        }
        this.#packets++
        if (this.#isRefused(batch)) continue
        this.#dueNs = this.#schedule.due(batch.seconds, batch.nanoseconds, batch.capturedLength, batch.hasTimestamp)
        this.#isHeld = true
      }
      if (this.#dueNs > this.#nowNs && this.#dueNs > this.#look()) {
        const waitNs = this.#waitNs()
        if (waitNs > 0) return waitNs / 1e6
      }
      if (this.#isTooLong(batch) && (!this.#isMtuRaised() || this.#isTooLong(batch))) {
        this.#isHeld = false
        this.refusals.tooLong++
      } else if (sender.send(batch.bytes, batch.offset, batch.capturedLength)) {
        this.#isHeld = false
        if (batch.capturedLength < batch.wireLength) this.#sentTruncated++
        this.#noteDue()
        if (sender.pending >= BATCH) this.#flush()
      } else if (sender.pending > 0) {
        this.#flush()
      } else {
        this.#waitForMemory()
      }
      if (this.isTurnDue) return 0
    }
  }

  /** Hands over what was put. Answers whether nothing is left, in our hands or in the kernel's; to be called until it is so. */
  finish(): boolean {
    this.#flush()
    return this.#sender.pending === 0 && this.#sender.inFlight() === 0
  }

  /** Nothing more is waited for: what the kernel has not taken counts as `noRoom`. */
  giveUp(): void {
    this.refusals.noRoom += this.#sender.withdraw()
    if (this.#isHeld) {
      this.#isHeld = false
      this.refusals.noRoom++
    }
  }

  /** A packet that was taken from the file and whose time had not come is as if it had not been taken. */
  putBack(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#packets--
  }

  #look(): number {
    this.#nowNs = (this.#clock.now() - this.#originMs) * 1e6
    return this.#nowNs
  }

  /** Waits until the packet is due; answers nanoseconds that are to be waited for without blocking, 0 when it is time. */
  #waitNs(): number {
    this.#flush()
    while (this.#dueNs > this.#look()) {
      const left = this.#dueNs - this.#nowNs
      if (left > LONG_WAIT_NS) return left - TIMER_NS
      if (left > WAKE_NS) this.#clock.sleep((left - WAKE_NS) / 1e6)
    }
    return 0
  }

  #noteDue(): void {
    if (!this.#paced) return
    if (this.#putCount === 0) this.#putFirstNs = this.#dueNs
    this.#putCount++
    this.#putDueNs += this.#dueNs
  }

  /** Measured just before the kernel is given what was put. */
  #noteErrors(): void {
    const nowNs = this.#look()
    if (this.#putCount === 0) return
    const latest = nowNs - this.#putFirstNs
    this.#errorNs += nowNs * this.#putCount - this.#putDueNs
    this.#timed += this.#putCount
    if (latest > this.#maxErrorNs) this.#maxErrorNs = latest
    this.#putCount = 0
    this.#putDueNs = 0
    if (latest > CATCH_UP_NS) this.#schedule.slip(latest - CATCH_UP_NS)
  }

  #isRefused(batch: TransmitBatch): boolean {
    const length = batch.capturedLength
    const refusals = this.refusals
    if (batch.linkType !== LINKTYPE_ETHERNET) refusals.linkType++
    else if (length < batch.wireLength && this.#options.truncated === 'skip') refusals.truncated++
    else if (length < ETHER_HEADER) refusals.tooShort++
    // What the MTU forbids now it may allow when the packet is due.
    else if (length > this.#sender.room) refusals.tooLong++
    else return false
    return true
  }

  #isTooLong(batch: TransmitBatch): boolean {
    const length = batch.capturedLength
    return length > this.#longest && (length > this.#longest + VLAN_HLEN || length > this.#sender.room || !isTagged(batch))
  }

  /** A lowered MTU is told of by EMSGSIZE, a raised one by nothing: looked at now and then, before a packet is refused for its length. */
  #isMtuRaised(): boolean {
    if (this.#nowNs - this.#mtuNs < LOOK_NS) return false
    const before = this.#longest
    this.#readMtu()
    return this.#longest > before
  }

  #readMtu(): void {
    this.#mtuNs = this.#nowNs
    const mtu = this.#interface.mtu()
    // Of an interface that is gone the next frame tells.
    if (mtu !== undefined) this.#longest = Math.min(this.#longestFor(mtu), this.#sender.room)
  }

  #flush(): void {
    this.#noteErrors()
    const sender = this.#sender
    if (sender.pending === 0) return
    if (!this.#interface.tellsCarrier && this.#isDown()) {
      this.refusals.down += sender.withdraw()
      return
    }
    const before = sender.pending
    const result = sender.flush()
    if (result === 0) {
      this.#stuckNs = undefined
      this.#attempts = 0
      return
    }
    if (sender.pending < before) {
      this.#stuckNs = undefined
      this.#attempts = 0
    }
    if (NO_ROOM.has(result)) this.#waitForRoom()
    else this.#decide(result)
  }

  /** What the kernel will not send. */
  #decide(result: number): void {
    const sender = this.#sender
    if (result === -ENETDOWN) {
      this.refusals.down += sender.withdraw()
    } else if (result === -EMSGSIZE) {
      // The MTU is another one than it was.
      this.#readMtu()
      this.refusals.tooLong += sender.withdrawRefused(this.#longest + VLAN_HLEN)
    } else if (result === -EINVAL) {
      this.refusals.invalid += sender.withdrawRefused(Number.POSITIVE_INFINITY)
    } else if (result === -ENXIO || result === -ENODEV) {
      this.refusals.down += sender.withdraw()
      throw new CaptureError('INTERFACE_REMOVED', `${this.#interface.name}: the interface is gone`, { errno: ENODEV, errnoName: 'ENODEV' })
    } else {
      throw callFailed({ subject: this.#interface.name, call: 'sending', errno: result })
    }
  }

  #waitForRoom(): void {
    const nowNs = this.#look()
    this.#waits++
    this.#stuckNs ??= nowNs
    if (++this.#attempts <= HASTY_ATTEMPTS) return
    const sender = this.#sender
    if (this.#isDown()) {
      this.refusals.down += sender.withdraw()
      this.#stuckNs = undefined
    } else if (nowNs - this.#stuckNs > this.#options.roomTimeoutMs * 1e6) {
      this.refusals.noRoom += sender.withdrawRefused(Number.POSITIVE_INFINITY)
      this.#stuckNs = undefined
    } else {
      this.#clock.sleep(ROOM_STEP_MS)
      this.#look()
    }
  }

  /** Nothing is left to hand over, and yet there is no room: what the kernel took before is still on its way. */
  #waitForMemory(): void {
    const nowNs = this.#look()
    this.#waits++
    if (this.#fullPacket !== this.#packets) {
      this.#fullPacket = this.#packets
      this.#fullNs = nowNs
    }
    if (this.#isDown()) this.refusals.down++
    else if (nowNs - this.#fullNs > this.#options.roomTimeoutMs * 1e6) this.refusals.noRoom++
    else {
      this.#clock.sleep(ROOM_STEP_MS)
      this.#look()
      return
    }
    this.#isHeld = false
  }

  /** Looks at the interface now and then. */
  #isDown(): boolean {
    if (this.#nowNs - this.#lookNs < LOOK_NS) return this.#isDownSeen
    this.#lookNs = this.#nowNs
    const flags = this.#interface.flags()
    if (flags === undefined) return false
    this.#isDownSeen = (flags & UP_AND_RUNNING) !== UP_AND_RUNNING
    return this.#isDownSeen
  }

  #longestFor(mtu: number | undefined): number {
    return (mtu ?? 0) + ETHER_HEADER
  }
}

/** Has a tag for which the kernel grants four bytes more. */
function isTagged({ bytes, offset }: TransmitBatch): boolean {
  return bytes[offset + 12] === VLAN_FIRST && bytes[offset + 13] === (ETH_P_8021Q & 0xff)
}
