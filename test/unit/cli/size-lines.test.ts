import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from '#src/cli/parse.js'
import { sizeDocument, sizeLines } from '#src/cli/size-lines.js'
import { sizeCapture } from '#src/host/index.js'

const GIB = 2 ** 30

test('what fits: a verdict, and a line for each thing to order', () => {
  const size = sizeCapture({ cores: 16, memoryBytes: 64 * GIB, lineBitsPerSecond: 10e9, backend: 'ring' })
  assert.deepEqual(sizeLines(size), [
    '14.9 Mpps of 64-byte frames, a full 10.0 Gbit/s line: fits',
    '',
    'backend      ring',
    'workers      14, each on a core with its receive queue: 1.06 Mpps a worker',
    'load a core  78 %: kernel 75 %, worker 3 %',
    'ring         30 MiB a worker: 15 blocks of 2 MiB, 189 kpackets',
    'memory       420 MiB for 14 rings',
    'survives     a worker that stands still 106 ms, a full line for ever',
    'simulated    loses nothing; with a stall as ordered, loses nothing',
    `costs        kernel 705 ns, worker 27 ns, handler 0 ns a packet (${size.costs.source})`,
    'command      ringtap capture -i IFACE --workers 14 --ring 30M --block 2M --pin queues',
  ])
})

test('what does not fit says what is missing, and what would be lost', () => {
  const lines = sizeLines(sizeCapture({ cores: 1, memoryBytes: 2 ** 20, packetsPerSecond: 3e6, frameBytes: 64, backend: 'ring' }))
  assert.match(
    lines[0] as string,
    /^3\.00 Mpps of 64-byte frames, 20 % of a 10\.0 Gbit\/s line: does not fit: needs 3 cores, .* and there is 1; \d+ MiB of memory, and 1 MiB are to be had$/,
  )
  assert.match(lines.find((line) => line.startsWith('simulated')) ?? '', /loses \d+ % in the NIC|in NIC and ring/)
})

test('the document is the size', () => {
  const size = sizeCapture({ cores: 16, memoryBytes: 64 * GIB, packetsPerSecond: 1e6, backend: 'xdp', frameBytes: 3000 })
  assert.deepEqual(JSON.parse(sizeDocument(size)), { type: 'size', ...size })
  assert.equal('chunkBytes' in size.ring && size.ring.chunkBytes, 4096)
})

test('a rate is packets, or bits of a full line', () => {
  const rateOf = (text: string) => {
    const { values } = parseArguments(['size', '--rate', text, '--load', '50%', '--cost', '25ns']) as { values: { rate: unknown; load: number; cost: number } }
    assert.deepEqual([values.load, values.cost], [0.5, 25])
    return values.rate
  }
  assert.deepEqual(rateOf('10G'), { bitsPerSecond: 10e9 })
  assert.deepEqual(rateOf('2.5Gbit/s'), { bitsPerSecond: 2.5e9 })
  assert.deepEqual(rateOf('14.88Mpps'), { packetsPerSecond: 14.88e6 })
  assert.deepEqual(rateOf('1000'), { packetsPerSecond: 1000 })
  assert.throws(() => rateOf('fast'), /--rate/)
})
