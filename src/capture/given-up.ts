/** `countDrops`: packets that a handler gives up, which are never more than it has been handed. Hot where a handler sheds load. */
import { CaptureError } from '../errors.js'
import type { Block } from '../packet/block.js'
import type { BlockPacketView } from '../packet/view.js'

export type GivenUpBy = 'handler' | 'consumer'

export class GivenUp {
  readonly #worker: number
  readonly #add: (packets: number, why: GivenUpBy) => void
  /** Packets of the blocks before, and of one that the handler has as a whole. */
  #handed = 0
  #given = 0
  /** The block that is handed over packet by packet: where its view was when it was last counted, and how many packets that were. */
  #view: BlockPacketView | undefined
  #header = 0
  #handedOfBlock = 0

  constructor(worker: number, add: (packets: number, why: GivenUpBy) => void) {
    this.#worker = worker
    this.#add = add
  }

  /** The packets of a block follow, one after another, in this view. */
  enterPackets(block: Block, view: BlockPacketView): void {
    this.#view = view
    this.#header = block.firstOffset
    this.#handedOfBlock = 1
  }

  /** They are over; so many the handler has come back from. */
  leavePackets(packets: number): void {
    this.#view = undefined
    this.#handed += packets
  }

  enterBlock(packets: number): void {
    this.#handed += packets
  }

  /**
   * After the handler threw over `packets`, which count as dropped: how many of them it had given up itself before. They are no longer given
   * up, nor handed.
   */
  takeBack(packets: number): number {
    this.#handed -= packets
    const twice = Math.max(0, this.#given - this.#handed)
    this.#given -= twice
    return twice
  }

  /** The handler's `countDrops`. @throws CaptureError HANDLER_FAILED */
  readonly count = (packets: number, why: GivenUpBy = 'handler'): void => {
    const isNumber = Number.isSafeInteger(packets) && packets >= 0
    if (!isNumber || (packets > this.#handed - this.#given && packets > this.#handedNow() - this.#given)) {
      throw this.#refused(`from 0 to ${this.#handedNow() - this.#given} packets, which were handed over and not given up yet`, packets)
    }
    if (why !== 'handler' && why !== 'consumer') throw this.#refused("the reason 'handler' or 'consumer'", why)
    this.#given += packets
    this.#add(packets, why)
  }

  /** NB: counted when it is asked for, from where it was last, so that a packet which is not given up costs nothing. */
  #handedNow(): number {
    const view = this.#view
    if (view === undefined) return this.#handed
    while (this.#header !== view.header) {
      this.#header += view.words32[this.#header >>> 2] as number
      this.#handedOfBlock++
    }
    return this.#handed + this.#handedOfBlock
  }

  #refused(expected: string, got: unknown): CaptureError {
    const shown = typeof got === 'string' ? `'${got}'` : String(got)
    return new CaptureError('HANDLER_FAILED', `countDrops() of worker ${this.#worker}: expected ${expected}, got ${shown} (${typeof got})`, {
      hint: 'it takes how many packets were given up since the last call',
    })
  }
}
