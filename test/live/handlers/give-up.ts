/** Gives up every `each`-th packet. `data`: { each, as }. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open: ({ data, countDrops }) => ({ ...(data as { each: number; as: 'handler' | 'consumer' }), countDrops, seen: 0 }),
  packet(_, state) {
    state.seen++
    if (state.seen % state.each === 0) state.countDrops(1, state.as)
  },
})
