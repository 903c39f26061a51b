// Packets of each IPv4 source address. Runs in every worker; main folds the workers into one.
import { defineHandler } from 'ringtap/handler'

export default defineHandler({
  open: () => /** @type {Map<number, number>} */ (new Map()),
  packet(p, sources) {
    if (p.protocol !== 0x0800 || p.capturedLength < 34) return
    const at = p.offset + 26
    const b = p.bytes
    const source = ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0
    sources.set(source, (sources.get(source) ?? 0) + 1)
  },
  snapshot: (sources) => sources,
  merge(a, b) {
    for (const [source, packets] of b) a.set(source, (a.get(source) ?? 0) + packets)
    return a
  },
})
