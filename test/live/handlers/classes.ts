/** Counts packets as `ringtap count` should, by the classifier that its tests compare with. */
import type { CountClass } from '#src/bpf/count-program.js'
import { defineHandler } from '#src/handler.js'
import { classOf } from '../../support/count-frames.js'

export type Classes = Partial<Record<CountClass, { packets: number; bytes: number }>>

export default defineHandler({
  open: (): Classes => ({}),
  packet(p, classes) {
    const name = classOf(p.bytes.subarray(p.offset, p.offset + p.capturedLength))
    const { packets, bytes } = classes[name] ?? { packets: 0, bytes: 0 }
    classes[name] = { packets: packets + 1, bytes: bytes + p.wireLength }
  },
  snapshot: (classes) => classes,
})
