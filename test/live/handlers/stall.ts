/** Takes its time over each block. `data`: { ms, busy }: waits, or keeps the CPU. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open: ({ data }) => ({ ...(data as { ms: number; busy: boolean }), packets: 0, clock: new Int32Array(new SharedArrayBuffer(4)) }),
  block(b, state) {
    const end = performance.now() + state.ms
    if (state.busy) while (performance.now() < end);
    else Atomics.wait(state.clock, 0, 0, state.ms)
    state.packets += b.packetCount
  },
  snapshot: ({ packets }) => packets,
  merge: (a, b) => a + b,
})
