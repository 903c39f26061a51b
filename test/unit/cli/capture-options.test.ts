import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { captureOptions, fanoutProgram } from '#src/cli/capture-options.js'
import { parseArguments } from '#src/cli/parse.js'
import { UsageError } from '#src/cli/usage-error.js'

function options(...argv: string[]) {
  const invocation = parseArguments(['capture', '-i', 'eth0', ...argv])
  assert.ok(invocation.run === 'capture')
  return captureOptions(invocation.values)
}

const PLAIN = { interface: ['eth0'], promiscuous: true }

test('what is not given is left to the library', () => {
  assert.deepEqual(options(), PLAIN)
})

test('every option has its name in the API', () => {
  assert.deepEqual(
    options(
      ...'-i eth1 --netns blue --backend ring --workers 4 --fanout hash,defrag --pin 0-1 --ring 256M --block 2M --block-timeout 60ms'.split(' '),
      ...'-c 10 --duration 5s -s 96 -p -Q in --batch 32 --receive-buffer 8M --worker-restarts 2 --handler-data [1]'.split(' '),
    ),
    {
      interface: ['eth0', 'eth1'],
      netns: 'blue',
      backend: 'ring',
      workers: 4,
      fanout: { mode: 'hash', defrag: true },
      pin: [0, 1],
      ringBytes: 256 * 2 ** 20,
      blockBytes: 2 * 2 ** 20,
      blockTimeoutMs: 60,
      count: 10,
      durationMs: 5000,
      workerRestarts: 2,
      snapLengthBytes: 96,
      promiscuous: false,
      direction: 'in',
      batch: 32,
      receiveBufferBytes: 8 * 2 ** 20,
      handlerData: [1],
    },
  )
})

test('those of AF_XDP, too', () => {
  assert.deepEqual(options(...'--backend xdp --exclusive --xdp-mode native --chunk 4K --busy-poll 20 --hardware-hints'.split(' ')), {
    ...PLAIN,
    backend: 'xdp',
    exclusive: true,
    xdpMode: 'native',
    chunkBytes: 4096,
    busyPollUs: 20,
    hardwareHints: true,
  })
})

test('the filter, as the caller read it', () => {
  const invocation = parseArguments(['capture', '-i', 'eth0', '-F', 'FILE'])
  assert.ok(invocation.run === 'capture')
  assert.equal(invocation.values.filterFile, 'FILE')
  assert.deepEqual(captureOptions(invocation.values, undefined, 'udp port 53'), { ...PLAIN, filter: 'udp port 53' })
})

test('a time at a rate', () => {
  assert.deepEqual(options('--ring', '500ms@2Mpps'), { ...PLAIN, ringHold: { ms: 500, packetsPerSecond: 2e6 } })
})

test("-s 0 is tcpdump's default", () => {
  assert.deepEqual(options('-s', '0'), PLAIN)
})

test('-B is the ring, rounded up to whole blocks, or the socket buffer', () => {
  assert.deepEqual(options('-B', '4096'), { ...PLAIN, ringBytes: 4 * 2 ** 20 })
  assert.deepEqual(options('-B', '5000'), { ...PLAIN, ringBytes: 6 * 2 ** 20 })
  assert.deepEqual(options('-B', '5000', '--block', '64K'), { ...PLAIN, blockBytes: 65_536, ringBytes: 79 * 65_536 })
  assert.deepEqual(options('-B', '5000', '--backend', 'recv'), { ...PLAIN, backend: 'recv', receiveBufferBytes: 5000 * 1024 })
  assert.deepEqual(options('-B', '0'), { ...PLAIN, ringBytes: 0 })
  assert.throws(() => options('-B', '4096', '--ring', '1M'), UsageError)
  assert.throws(() => options('-B', '4096', '--backend', 'recv', '--receive-buffer', '1M'), UsageError)
})

test('a handler file is found from the working directory', () => {
  assert.deepEqual(options('--handler', 'my handler.js').handler, pathToFileURL(resolve('my handler.js')))
})

test('no interface', () => {
  const invocation = parseArguments(['capture'])
  assert.ok(invocation.run === 'capture')
  assert.throws(() => captureOptions(invocation.values), /^UsageError: which interface\? -i IFACE is missing$/)
})

test('a program as tcpdump -ddd prints it', () => {
  assert.deepEqual(fanoutProgram('2\n40 0 0 12\n6 0 0 262144\n'), [
    [40, 0, 0, 12],
    [6, 0, 0, 262144],
  ])
  for (const text of ['', '1', '2\n6 0 0 1\n', '1\n6 0 0\n', '1\n6 0 0 x\n', '1\n6 0 0 -1\n', 'ldh [12]\n'])
    assert.throws(() => fanoutProgram(text), UsageError, text)
})

test('--fanout-program goes with cbpf', () => {
  const invocation = parseArguments(['capture', '-i', 'eth0', '--fanout', 'cbpf'])
  assert.ok(invocation.run === 'capture')
  assert.deepEqual(captureOptions(invocation.values, [[6, 0, 0, 1]]).fanout, { mode: 'cbpf', program: [[6, 0, 0, 1]] })
  assert.throws(() => captureOptions(invocation.values), /^UsageError: --fanout cbpf needs --fanout-program FILE$/)
  assert.throws(() => captureOptions({ ...invocation.values, fanout: { mode: 'cpu' } }, [[6, 0, 0, 1]]), UsageError)
})

test('files', () => {
  assert.deepEqual(options('-w', 'x.pcap').write, { path: 'x.pcap' })
  assert.deepEqual(
    options(
      ...'-w x-%H --format pcap --precision micro --compression gzip --compression-level 3 --per-worker -U'.split(' '),
      ...'-C 100 -G 60 -W 5 --keep 2G -z gzip --no-guard -Z nobody'.split(' '),
    ),
    {
      ...PLAIN,
      write: {
        path: 'x-%H',
        format: 'pcap',
        precision: 'us',
        compression: 'gzip',
        compressionLevel: 3,
        perWorker: true,
        unbuffered: true,
        rotation: { sizeBytes: 100_000_000, seconds: 60, files: 5, keepBytes: 2 ** 31 },
        command: 'gzip',
        guard: false,
      },
      user: 'nobody',
    },
  )
  assert.deepEqual(options('-w', 'x', '-C', '64K').write?.rotation, { sizeBytes: 65_536 })
  assert.equal(options('-w', 'x', '--time-stamp-precision', 'nano').write?.precision, 'ns')
  for (const argv of [
    '-U',
    '-C 1',
    '-G 1',
    '-W 1',
    '--keep 1G',
    '-z gzip',
    '--format pcap',
    '--precision us',
    '--per-worker',
    '--no-guard',
    '--compression none',
  ])
    assert.throws(() => options(...argv.split(' ')), /^UsageError: -.* goes with -w FILE$/, argv)
})

test('a time machine goes with a file', () => {
  assert.deepEqual(options(...'-w x.pcapng --before 30s --before-size 1G --after 1.5 --trigger icmp'.split(' ')), {
    ...PLAIN,
    write: { path: 'x.pcapng', beforeMs: 30_000, beforeSizeBytes: 2 ** 30, afterMs: 1500, trigger: 'icmp' },
  })
  for (const [name, value] of Object.entries({ '--before': '0', '--before-size': '1G', '--after': '0', '--trigger': 'x' })) {
    assert.throws(
      () => options(name, value),
      (error) => error instanceof UsageError && error.message === `${name} goes with -w FILE`,
    )
  }
})
