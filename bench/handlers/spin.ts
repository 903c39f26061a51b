/** A handler of known cost: keeps the core for so many nanoseconds a packet. `data`: { ns }. By the clock, so that a pause shorter than a block costs nothing more. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open: ({ data }) => (data as { ns: number }).ns,
  block(b, ns) {
    const end = performance.now() + (b.packetCount * ns) / 1e6
    while (performance.now() < end);
  },
})
