import { defineHandler } from '#src/handler.js'

export default defineHandler({
  block() {
    throw new RangeError('no luck in block')
  },
})
