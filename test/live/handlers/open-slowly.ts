/** Its `open` never comes back. `data`: an Int32Array in shared memory, where it counts itself. */
import { defineHandler } from '#src/handler.js'

export default defineHandler({
  open({ data }) {
    Atomics.add(data as Int32Array, 0, 1)
    // Something to wait for, or the thread would end.
    return new Promise<void>(() => setInterval(() => {}, 1000))
  },
  packet() {},
})
