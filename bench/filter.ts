/**
 * A flood of which one packet in 100 is wanted: what the receiving interface takes off the wire with that filter in the kernel, beside
 * a capture of everything in the same minute. And how long expressions take to compile. As root, in namespaces of its own.
 *
 *   npm run bench:filter
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CaptureOptions } from '#src/capture/api.js'
import { openCapture } from '#src/capture/open.js'
import { compileFilter } from '#src/index.js'
import { createTestbed, startFlood } from '#src/testbed/index.js'

/** Source addresses of the flood are 10.0.0.0/8 at random: 655 of 65536. */
const ONE_IN_100 = 'tcp dst port 80 and ip[13:2] < 655'
const SECONDS = 3
const WARMUP_SECONDS = 1
const ALTERNATIONS = 5

const SHAPES: Record<string, Omit<CaptureOptions, 'interface'>> = {
  recv: { backend: 'recv' },
  ring: { backend: 'ring' },
  'ring+fanout': { backend: 'ring', workers: 'auto', fanout: 'cpu' },
  xdp: { backend: 'xdp' },
}

const EVERYDAY = [
  'tcp',
  'udp port 53',
  'host 10.0.0.1 and not port 22',
  'tcp port 80 or tcp port 443',
  'tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 192.168.0.0/16',
  'net 10.0.0.0/8 or net 172.16.0.0/12 or net 192.168.0.0/16',
  'vlan 5 and (tcp port 80 or udp port 53)',
  'ip6 and icmp6[icmp6type] = icmp6-echo',
  'src host 2001:db8::1 and portrange 6000-6100',
  'arp or icmp or (udp and (port 67 or port 68))',
  'tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)',
]

interface Run {
  /** Frames a second that the receiving interface took. */
  wirePps: number
  /** Of them, those that the capture was offered: with a socket's filter, those that matched. */
  share: number
}

async function run(options: Omit<CaptureOptions, 'interface'>): Promise<Run> {
  using testbed = createTestbed()
  await using capture = await openCapture({ ...testbed.receiver, ...options })
  await using flood = await startFlood({ ...testbed.sender })
  await sleep(WARMUP_SECONDS * 1000)
  const [before, began] = [testbed.wire().received, performance.now()]
  await sleep(SECONDS * 1000)
  const wirePps = (testbed.wire().received - before) / ((performance.now() - began) / 1000)
  await flood.stop()
  await sleep(50)
  const { offered, packets, dropped } = await capture.stop()
  if (packets + dropped !== offered) throw new Error(`${packets} packets and ${dropped} dropped are not ${offered}`)
  return { wirePps, share: offered / testbed.wire().received }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}

console.log(`Node.js ${process.version}; frames a second that the interface takes, median of ${ALTERNATIONS} pairs`)
console.log(`${''.padEnd(14)}all, Mpps   one in 100   ratio   matched`)
for (const [name, options] of Object.entries(SHAPES)) {
  const pairs: { all: Run; some: Run }[] = []
  for (let i = 0; i < ALTERNATIONS; i++) pairs.push({ all: await run(options), some: await run({ ...options, filter: ONE_IN_100 }) })
  const all = median(pairs.map((pair) => pair.all.wirePps)) / 1e6
  const some = median(pairs.map((pair) => pair.some.wirePps)) / 1e6
  const ratio = median(pairs.map((pair) => pair.some.wirePps / pair.all.wirePps))
  const share = median(pairs.map((pair) => pair.some.share)) * 100
  console.log(`${name.padEnd(14)}${all.toFixed(2).padStart(9)}${some.toFixed(2).padStart(13)}${ratio.toFixed(2).padStart(8)}${share.toFixed(2).padStart(8)} %`)
}

console.log('\ncompiled in, ms    the first time   then (median of 200)')
for (const text of EVERYDAY) {
  const times = Array.from({ length: 200 }, () => {
    const began = performance.now()
    compileFilter(text)
    return performance.now() - began
  })
  console.log(`${(times[0] as number).toFixed(2).padStart(20)}${median(times).toFixed(2).padStart(20)}   ${text}`)
}
