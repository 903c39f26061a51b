/** Gives up every `each`-th packet. `data`: { each }. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open: ({ data, countDrops }) => ({ ...(data as { each: number }), countDrops, seen: 0 }),
  packet(_, state) {
    state.seen++
    if (state.seen % state.each === 0) state.countDrops(1)
  },
})
