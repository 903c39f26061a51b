/** Stands still once, in the middle of a block. `data`: { ms, afterPackets }. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open: ({ data }) => ({ ...(data as { ms: number; afterPackets: number }), packets: 0, clock: new Int32Array(new SharedArrayBuffer(4)) }),
  packet(_packet, state) {
    if (++state.packets === state.afterPackets) Atomics.wait(state.clock, 0, 0, state.ms)
  },
  snapshot: ({ packets }) => packets,
  merge: (a, b) => a + b,
})
