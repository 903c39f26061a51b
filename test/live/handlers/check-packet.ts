import { defineHandler } from '#src/handler.js'
import { type CheckOptions, checkFrame, mergeChecked, resultOf, startCheck } from './check-frame.js'

export default defineHandler({
  open: ({ data }) => startCheck(data as CheckOptions),
  packet(p, state) {
    checkFrame(state, p.bytes, p.offset, p.capturedLength, p.wireLength, p.seconds, p.nanoseconds)
  },
  snapshot: resultOf,
  merge: mergeChecked,
})
