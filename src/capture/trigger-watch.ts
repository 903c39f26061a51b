/**
 * Looks for the packet that triggers a time machine. Per packet the compiled filter, 3 to 13 ns (bench/matcher), and nothing while it
 * has matched and the file that follows from it is not begun, or is being written.
 */
import type { Instruction } from '../bpf/classic.js'
import { compileMatcher, type Matcher } from '../bpf/matcher.js'
import { TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import type { Block } from '../packet/block.js'
import { BlockPacketView } from '../packet/view.js'

const NEXT = TPACKET3_HDR.tp_next_offset / 4

export class TriggerWatch {
  readonly #matcher: Matcher
  readonly #view = new BlockPacketView()
  #isArmed = true
  /** Packets before this time are in a file already. */
  #notBeforeMs = 0

  constructor(program: readonly Instruction[]) {
    this.#matcher = compileMatcher(program)
  }

  /** Looks again, at packets from this time on, in milliseconds since 1970. */
  arm(notBeforeMs: number): void {
    this.#isArmed = true
    this.#notBeforeMs = notBeforeMs
  }

  /** Time of the first packet that matches, if one does; none after it until it is armed again. */
  look(block: Block, packets: number): number | undefined {
    if (!this.#isArmed) return undefined
    const view = this.#view
    view.enter(block)
    view.header = block.firstOffset
    const words = block.words32
    const matcher = this.#matcher
    let isEarly = true
    for (let i = 0; i < packets; i++) {
      isEarly = isEarly && millisecondsOf(view) < this.#notBeforeMs
      if (!isEarly && matcher(view.bytes, view.offset, view.capturedLength, view.wireLength, view) !== 0) {
        this.#isArmed = false
        return millisecondsOf(view)
      }
      view.header += words[(view.header >>> 2) + NEXT] as number
    }
    return undefined
  }
}

function millisecondsOf({ seconds, nanoseconds }: BlockPacketView): number {
  return seconds * 1000 + nanoseconds / 1e6
}
