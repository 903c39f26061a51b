// Who sends most, after ten seconds, over all cores: node examples/top-sources.js eth0
import { openCapture } from 'ringtap'

const [name = 'eth0', netns] = process.argv.slice(2)
const capture = await openCapture({
  interface: name,
  netns,
  workers: 'auto',
  durationMs: 10_000,
  handler: new URL('./handlers/sources.js', import.meta.url),
})
await capture.finished
/** @type {Map<number, number>} */
const sources = (await capture.snapshot()) ?? new Map()
const top = [...sources].sort((a, b) => b[1] - a[1]).slice(0, 10)
for (const [address, packets] of top) {
  const text = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
  console.log(text.padEnd(16), packets)
}
