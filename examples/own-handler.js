// Capture with a handler of one's own and look at it while it runs: node examples/own-handler.js eth0
import { openCapture } from 'ringtap'

const [name = 'eth0', netns] = process.argv.slice(2)
const capture = await openCapture({
  interface: name,
  netns,
  workers: 2,
  fanout: 'hash',
  durationMs: 5_000,
  handler: new URL('./handlers/syn-watch.js', import.meta.url),
})
for await (const { packetsPerSecond } of capture.stats({ intervalMs: 1000 })) {
  console.log(packetsPerSecond.toFixed(0), await capture.snapshot())
}
