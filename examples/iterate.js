// The first packets, one by one, as copies of one's own: node examples/iterate.js eth0
import { packets } from 'ringtap'

const [name = 'eth0', netns] = process.argv.slice(2)
for await (const p of packets({ interface: name, netns, count: 10 })) {
  const time = new Date(p.seconds * 1000).toISOString().slice(11, 19)
  const lost = p.droppedBefore > 0 ? ` (${p.droppedBefore} lost before)` : ''
  console.log(`${time}.${String(p.nanoseconds).padStart(9, '0')} ${p.wireLength} bytes ${Buffer.from(p.bytes.subarray(0, 14)).toString('hex')}${lost}`)
}
