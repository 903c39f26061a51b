/** Keeps when each packet came, in nanoseconds from the first. `data`: { most }, the room for them. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open: ({ data }) => ({ times: new Float64Array((data as { most: number }).most), count: 0, seconds: 0, nanoseconds: 0 }),
  packet(p, state) {
    if (state.count === 0) {
      state.seconds = p.seconds
      state.nanoseconds = p.nanoseconds
    }
    state.times[state.count++] = (p.seconds - state.seconds) * 1e9 + p.nanoseconds - state.nanoseconds
  },
  snapshot: ({ times, count }) => times.slice(0, count),
  merge: (a) => a,
})
