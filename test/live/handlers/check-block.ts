/** The same checks by the walk that the handler contract describes: offsets of struct tpacket3_hdr, by hand. */
import { defineHandler } from '#src/handler.js'
import { type CheckOptions, checkFrame, mergeChecked, resultOf, startCheck } from './check-frame.js'

export default defineHandler({
  open: ({ data }) => startCheck(data as CheckOptions),
  block(b, state) {
    const { bytes, words16, words32 } = b
    let header = b.firstOffset
    for (let i = 0; i < b.packetCount; i++) {
      const word = header / 4
      checkFrame(state, bytes, header + words16[header / 2 + 12], words32[word + 3], words32[word + 4], words32[word + 1], words32[word + 2])
      header += words32[word]
    }
  },
  snapshot: resultOf,
  merge: mergeChecked,
})
