/** Fails where `data.where` says. `after`: at this packet of a worker, counted from 1; `at`: at numbered frames of these numbers instead. */
import { writeFileSync } from 'node:fs'
import { defineHandler, type PacketView } from '#src/handler.js'

interface Options {
  where: 'open' | 'packet' | 'snapshot' | 'close' | 'exit' | 'exit in open' | 'loop' | 'unclonable' | 'throw nothing'
  after?: number
  at?: number[]
  /** Waits so long before it fails. */
  stallMs?: number
  /** Written by close, so that a test sees that it ran. */
  closed?: string
}

function numberOf({ bytes, offset }: PacketView): number {
  return ((bytes[offset + 14] << 24) | (bytes[offset + 15] << 16) | (bytes[offset + 16] << 8) | bytes[offset + 17]) >>> 0
}

export default defineHandler({
  async open({ data }) {
    const options = data as Options
    if (options.where === 'open') throw new TypeError('no luck in open')
    if (options.where === 'exit in open') process.exit(3)
    await Promise.resolve()
    return { options, packets: 0 }
  },
  packet(p, state) {
    state.packets++
    const { after, at, stallMs } = state.options
    if (at === undefined ? state.packets < (after ?? 1) : !at.includes(numberOf(p))) return
    if (stallMs !== undefined) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallMs)
    switch (state.options.where) {
      case 'packet':
        throw new RangeError(`no luck at packet ${state.packets}`)
      case 'throw nothing':
        throw undefined
      case 'exit':
        return process.exit(7)
      case 'loop':
        for (;;);
    }
  },
  snapshot(state) {
    if (state.options.where === 'snapshot') throw new Error('no luck in snapshot')
    return state.options.where === 'unclonable' ? () => {} : state.packets
  },
  merge: (a, b) => (typeof a === 'number' && typeof b === 'number' ? a + b : a),
  close({ options }) {
    if (options.closed !== undefined) writeFileSync(options.closed, 'closed')
    if (options.where === 'close') throw new Error('no luck in close')
  },
})
