// A handler of one's own: SYNs and other packets, in typed words so that counting allocates nothing.
// ringtap capture -i eth0 --workers auto --handler examples/handlers/syn-watch.js
import { defineHandler } from 'ringtap/handler'

const [SYN, OTHER_TCP, OTHER] = [0, 1, 2]

export default defineHandler({
  open: () => new Float64Array(3),
  packet(p, counts) {
    const b = p.bytes
    const ip = p.offset + 14
    if (p.protocol !== 0x0800 || p.capturedLength < 54 || b[ip + 9] !== 6) {
      counts[OTHER]++
      return
    }
    const tcp = ip + (b[ip] & 15) * 4
    const flags = b[tcp + 13]
    counts[(flags & 0x12) === 0x02 ? SYN : OTHER_TCP]++
  },
  snapshot: (counts) => ({ syn: counts[SYN], otherTcp: counts[OTHER_TCP], other: counts[OTHER] }),
  merge: (a, b) => ({ syn: a.syn + b.syn, otherTcp: a.otherTcp + b.otherTcp, other: a.other + b.other }),
})
