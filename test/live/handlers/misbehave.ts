/** Fails where `data.where` says. `after`: at this packet of a worker, counted from 1. */
import { writeFileSync } from 'node:fs'
import { defineHandler } from '#src/handler.js'

interface Options {
  where: 'open' | 'packet' | 'snapshot' | 'close' | 'exit' | 'exit in open' | 'loop' | 'unclonable' | 'throw nothing'
  after?: number
  /** Written by close, so that a test sees that it ran. */
  closed?: string
}

export default defineHandler({
  async open({ data }) {
    const options = data as Options
    if (options.where === 'open') throw new TypeError('no luck in open')
    if (options.where === 'exit in open') process.exit(3)
    await Promise.resolve()
    return { options, packets: 0 }
  },
  packet(_p, state) {
    state.packets++
    if (state.packets < (state.options.after ?? 1)) return
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
