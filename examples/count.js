// How many packets, a line a second: node examples/count.js eth0
import { openCapture } from 'ringtap'

const [name = 'eth0', netns] = process.argv.slice(2)
const signal = AbortSignal.timeout(10_000)
const capture = await openCapture({ interface: name, netns, signal })
for await (const { packetsPerSecond, bitsPerSecond, dropped } of capture.stats({ intervalMs: 1000 })) {
  console.log(`${packetsPerSecond.toFixed(0)} packets/s, ${bitsPerSecond.toFixed(0)} bits/s, ${dropped} dropped`)
}
const { packets, dropped } = await capture.finished
console.log(`${packets} packets, ${dropped} dropped`)
