import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BACKENDS, type CaptureOptions, FANOUT_MODES } from '#src/capture/api.js'
import { DEFAULT_BATCH, DEFAULT_RECEIVE_BUFFER_BYTES, MAX_SNAP_LENGTH_BYTES, type MachineFacts, planCapture, workerCpu } from '#src/capture/plan.js'
import { DEFAULT_BLOCK_BYTES, DEFAULT_BLOCK_TIMEOUT_MS, DEFAULT_RING_BYTES, longestPacket } from '#src/ring/geometry.js'

const MIB = 2 ** 20
const MACHINE: MachineFacts = { pageSize: 4096, cpus: [0, 1, 2, 3], availableMemoryBytes: 16 * 2 ** 30 }

function plan(options: object = {}, machine: Partial<MachineFacts> = {}) {
  return planCapture({ interface: 'eth0', ...options } as CaptureOptions, { ...MACHINE, ...machine })
}

function refused(options: object, message: RegExp, hint?: RegExp, machine: Partial<MachineFacts> = {}): void {
  assert.throws(
    () => plan(options, machine),
    (error: Error & { code: string; hint?: string }) => {
      assert.equal(error.name, 'CaptureError')
      assert.equal(error.code, 'INVALID_OPTION', error.message)
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /\n/)
      if (hint !== undefined) assert.match(error.hint ?? '', hint)
      return true
    },
  )
}

test('defaults', () => {
  assert.deepEqual(plan(), {
    backend: 'ring',
    interfaces: ['eth0'],
    netns: undefined,
    workersPerInterface: 1,
    fanout: undefined,
    pin: undefined,
    ring: { blockBytes: DEFAULT_BLOCK_BYTES, blockCount: DEFAULT_RING_BYTES / DEFAULT_BLOCK_BYTES, blockTimeoutMs: DEFAULT_BLOCK_TIMEOUT_MS },
    xdp: { mode: 'auto', memoryBytes: DEFAULT_RING_BYTES, chunkBytes: undefined, coalesceMs: 1, busyPollUs: 0, hints: false },
    exclusive: false,
    otherwise: undefined,
    receiveBufferBytes: DEFAULT_RECEIVE_BUFFER_BYTES,
    batch: DEFAULT_BATCH,
    filter: undefined,
    snapLengthBytes: MAX_SNAP_LENGTH_BYTES,
    promiscuous: true,
    direction: undefined,
    count: undefined,
    durationMs: undefined,
    write: undefined,
    user: undefined,
    workerRestarts: 0,
  })
})

test('a plan is plain data', () => {
  const all = plan({ workers: 4, fanout: { mode: 'hash', defrag: true }, pin: [0, 1], netns: 'blue', count: 5, durationMs: 6, direction: 'in' })
  assert.deepEqual(structuredClone(all), all)
  assert.deepEqual(JSON.parse(JSON.stringify(all)), JSON.parse(JSON.stringify(structuredClone(all))))
})

test('write: the format by the ending, and every field checked', () => {
  const write = (given: unknown) => plan({ write: given } as Partial<CaptureOptions>).write
  assert.deepEqual(write({ path: '/tmp/x.pcap' }), {
    path: '/tmp/x.pcap',
    format: 'pcap',
    precision: 'ns',
    compression: 'none',
    compressionLevel: undefined,
    perWorker: false,
    order: false,
    unbuffered: false,
    rotation: undefined,
    command: undefined,
    guard: true,
    past: undefined,
  })
  for (const [path, format, compression] of [
    ['x.pcap.gz', 'pcap', 'gzip'],
    ['x.gz', 'pcapng', 'gzip'],
    ['x.pcapng.GZ', 'pcapng', 'gzip'],
    ['-', 'pcapng', 'none'],
  ])
    assert.deepEqual([write({ path })?.format, write({ path })?.compression], [format, compression], path)
  assert.equal(write({ path: 'x.gz', compression: 'none' })?.compression, 'none')
  const rotation = { sizeBytes: 1000, seconds: 60, files: 5, keepBytes: 10_000, timeInNames: false }
  assert.deepEqual(write({ path: 'x', rotation })?.rotation, rotation)
  for (const path of ['x.CAP', 'a.b.dmp', '.pcap']) assert.equal(write({ path })?.format, 'pcap', path)
  for (const path of ['x', 'x.pcapng', 'pcap', 'x.pcap/y', 'x.pcap.1']) assert.equal(write({ path })?.format, 'pcapng', path)
  assert.equal(write({ path: 'x.pcap', format: 'pcapng' })?.format, 'pcapng')
  refused({ write: 'x.pcap' }, /Expected the option write to be .* got 'x.pcap'/)
  refused({ write: {} }, /Expected the option write.path to be a string that is not empty, got undefined/)
  refused({ write: { path: 'a\0b' } }, /write\.path/)
  refused({ write: { path: 'x', format: 'pcapngg' } }, /write\.format to be one of pcap, pcapng, got 'pcapngg'/)
  refused({ write: { path: 'x', precision: 'ms' } }, /write\.precision to be one of ns, us, got 'ms'/)
  refused({ write: { path: 'x', compression: 'lzma' } }, /write\.compression to be one of gzip, zstd, none, got 'lzma'/)
  refused({ write: { path: 'x.gz', compressionLevel: 10 } }, /compressionLevel to be 1 to 9, got 10/)
  refused({ write: { path: '-', perWorker: true } }, /write\.perWorker to be absent/)
  refused({ write: { path: 'x', perWorker: true, order: true } }, /write\.order to be absent/)
  refused({ write: { path: 'x', command: '' } }, /write\.command to be a string that is not empty/)
  refused({ write: { path: 'x', rotation: 5 } }, /write\.rotation to be .* got 5/)
  refused({ write: { path: 'x', rotation: { size: 5 } } }, /Unknown option write\.rotation\.size/)
  refused({ write: { path: 'x', rotation: { sizeBytes: 0 } } }, /write\.rotation\.sizeBytes to be an integer from 1 to/)
  refused({ write: { path: 'x', rotation: { seconds: 1.5 } } }, /write\.rotation\.seconds to be an integer from 1 to .* got 1\.5/)
  refused({ write: { path: 'x', rotation: { sizeBytes: 5, timeInNames: 1 } } }, /write\.rotation\.timeInNames to be a boolean/)
  refused({ write: { path: 'x', rotation: { files: 5 } } }, /files needs sizeBytes or seconds/)
  refused({ write: { path: 'x', rotation: { sizeBytes: 500, keepBytes: 499 } } }, /keepBytes 499 is less than one file/)
  refused({ user: '' }, /the option user to be a string that is not empty/)
  assert.equal(plan({ user: 'nobody' }).user, 'nobody')
  for (const name of ['perWorker', 'order', 'unbuffered', 'guard'])
    refused({ write: { path: 'x', [name]: 1 } }, new RegExp(`write\\.${name} to be a boolean, got 1`))
  refused({ write: { path: 'x', compress: true } }, /Unknown option write\.compress/)
})

test('a filter is a text, one of blanks takes everything', () => {
  assert.equal(plan({ filter: ' udp port 53 ' }).filter, ' udp port 53 ')
  assert.equal(plan({ filter: '' }).filter, undefined)
  assert.equal(plan({ filter: ' \n' }).filter, undefined)
  refused({ filter: 53 }, /Expected the option filter to be a string, got 53/)
  refused({ filter: null }, /Expected the option filter to be a string, got null/)
  const auto = plan({ filter: 'udp', exclusive: true })
  assert.deepEqual([auto.backend, auto.filter, auto.otherwise?.filter], ['xdp', 'udp', 'udp'])
})

test('an option that does not exist is named, with those that do', () => {
  refused({ iface: 'eth0' }, /Unknown option iface/, /interface, netns, backend, workers/)
  refused({ toString: 1 }, /Unknown option toString/)
})

describe('interface', () => {
  test('one or several', () => {
    assert.deepEqual(plan({ interface: ['a', 'b'] }).interfaces, ['a', 'b'])
  })
  test('the plan does not share the caller’s array', () => {
    const names = ['a', 'b']
    const { interfaces } = plan({ interface: names })
    names.push('c')
    assert.deepEqual(interfaces, ['a', 'b'])
  })
  for (const bad of ['', [], [''], ['a', ''], [1], 5, null, undefined, {}]) {
    test(`${JSON.stringify(bad)} is none`, () =>
      refused({ interface: bad }, /Expected the option interface to be the name of an interface or an array of names/))
  }
  test('twice the same would deliver twice', () => refused({ interface: ['a', 'b', 'a'] }, /interface/, /a stands there twice/))
  test('any is no interface', () => refused({ interface: 'any' }, /not 'any'/))
})

describe('backend', () => {
  test('auto is the ring', () => {
    assert.deepEqual(
      BACKENDS.map((backend) => plan({ backend }).backend),
      ['ring', 'ring', 'recv', 'xdp'],
    )
  })
  test('others', () => refused({ backend: 'pcap' }, /Expected the option backend to be one of auto, ring, recv, xdp, got 'pcap' \(string\)/))
  test('null', () => assert.equal(plan({ backend: undefined }).backend, 'ring'))
})

describe('xdp', () => {
  const xdp = (options: object = {}, machine: Partial<MachineFacts> = {}) => plan({ backend: 'xdp', ...options }, machine)

  test('one worker a queue, unless told how many', () => {
    assert.deepEqual(
      [xdp(), xdp({ workers: 'auto' }), xdp({ workers: 3 })].map((it) => it.workersPerInterface),
      ['queues', 'queues', 3],
    )
    assert.equal(xdp({ workers: 3 }).fanout, undefined)
  })

  test('ringBytes is the memory of the chunks, a power of two; blocks do not matter', () => {
    assert.equal(xdp().xdp.memoryBytes, 64 * MIB)
    assert.equal(xdp({ ringBytes: 128 * MIB, blockBytes: 3 }).xdp.memoryBytes, 128 * MIB)
    refused({ backend: 'xdp', ringBytes: 3 * MIB }, /ringBytes to be a power of two from 262144 to 1073741824 bytes/, /try --ring 4194304/)
    refused({ backend: 'xdp', ringBytes: 4096 }, /ringBytes/, /try --ring 262144/)
    refused({ backend: 'xdp', ringBytes: 2 ** 31 }, /ringBytes/, /try --ring 1073741824/)
  })

  test('a ring that holds so long: each packet takes a chunk', () => {
    assert.equal(xdp({ ringHold: { ms: 10, packetsPerSecond: 3_000_000 } }).xdp.memoryBytes, 64 * MIB)
    assert.equal(xdp({ ringHold: { ms: 10, packetsPerSecond: 3_000_000 }, chunkBytes: 4096 }).xdp.memoryBytes, 128 * MIB)
    assert.equal(xdp({ ringHold: { ms: 10, packetsPerSecond: 1000 } }).xdp.memoryBytes, MIB / 4)
    refused({ backend: 'xdp', ringHold: { ms: 1000, packetsPerSecond: 14_880_000 } }, /ringHold/)
    refused({ backend: 'xdp', ringHold: { ms: 0, packetsPerSecond: 1 } }, /ringHold/)
    refused({ backend: 'xdp', ringHold: { ms: 10, packetsPerSecond: 1000 }, ringBytes: MIB }, /ringBytes/)
  })

  test('its own options', () => {
    const { xdp: it } = xdp({ xdpMode: 'generic', chunkBytes: 4096, blockTimeoutMs: 3, busyPollUs: 20, hardwareHints: true })
    assert.deepEqual(it, { mode: 'generic', memoryBytes: 64 * MIB, chunkBytes: 4096, coalesceMs: 3, busyPollUs: 20, hints: true })
    refused({ backend: 'xdp', xdpMode: 'offload' }, /xdpMode to be one of auto, zero-copy, native, generic/)
    refused({ backend: 'xdp', chunkBytes: 1024 }, /chunkBytes to be 2048 or 4096/)
    refused({ backend: 'xdp', busyPollUs: -1 }, /busyPollUs/)
    refused({ backend: 'xdp', hardwareHints: 'yes' }, /hardwareHints to be a boolean/)
    refused({ backend: 'xdp', exclusive: 'yes' }, /exclusive to be a boolean/)
  })

  test('what it cannot do', () => {
    refused({ backend: 'xdp', direction: 'out' }, /direction to be 'in'/)
    refused({ backend: 'xdp', fanout: 'hash' }, /fanout to be absent with backend 'xdp'/)
  })

  test('auto takes it with exclusive alone, and has the ring to fall back on', () => {
    const both = plan({ backend: 'auto', exclusive: true, ringBytes: 32 * MIB })
    assert.deepEqual([both.backend, both.xdp.mode, both.xdp.memoryBytes, both.workersPerInterface], ['xdp', 'driver', 32 * MIB, 'queues'])
    assert.deepEqual([both.otherwise?.backend, both.otherwise?.workersPerInterface], ['ring', 1])
    assert.equal(plan({ exclusive: true, xdpMode: 'generic' }).xdp.mode, 'generic')
    assert.equal(plan({ exclusive: false }).backend, 'ring')
    // What only a packet socket can do.
    assert.equal(plan({ exclusive: true, direction: 'out' }).backend, 'ring')
    assert.equal(plan({ exclusive: true, workers: 2, fanout: 'hash' }).backend, 'ring')
    refused({ exclusive: true, ringBytes: 3 * MIB, blockBytes: MIB }, /ringBytes to be a power of two/)
  })

  test('memory that the machine has not', () => {
    assert.throws(() => xdp({ workers: 4 }, { availableMemoryBytes: 200 * MIB }), { code: 'RING_REFUSED' })
    assert.doesNotThrow(() => xdp({ workers: 2 }, { availableMemoryBytes: 200 * MIB }))
  })
})

describe('workers', () => {
  test('auto is one for each CPU', () => {
    assert.equal(plan({ workers: 'auto' }).workersPerInterface, 4)
    assert.equal(plan({ workers: 'auto' }, { cpus: [] }).workersPerInterface, 1)
    assert.equal(plan({ workers: 'auto', ringBytes: 2 * MIB }, { cpus: Array.from({ length: 300 }, (_, i) => i) }).workersPerInterface, 256)
  })
  test('1 to 256', () => {
    assert.equal(plan({ workers: 256, ringBytes: 2 * MIB }).workersPerInterface, 256)
    for (const workers of [0, -1, 1.5, Number.NaN, '2', true]) refused({ workers }, /Expected the option workers to be an integer from 1 to 256, got/)
    refused({ workers: 257 }, /workers to be at most 256, the members of a fanout group, got 257/)
  })
})

describe('fanout', () => {
  test('cpu for more than one worker, none for one', () => {
    assert.deepEqual(plan({ workers: 2 }).fanout, { mode: 'cpu', defrag: false, rollover: false })
    assert.equal(plan({ workers: 1 }).fanout, undefined)
  })
  for (const mode of FANOUT_MODES) {
    if (mode === 'cbpf') continue
    test(mode, () => assert.deepEqual(plan({ workers: 2, fanout: mode }).fanout, { mode, defrag: false, rollover: false }))
  }
  test('flags', () => {
    assert.deepEqual(plan({ workers: 2, fanout: { mode: 'hash', defrag: true, rollover: true, ignoreOutgoing: false } }).fanout, {
      mode: 'hash',
      defrag: true,
      rollover: true,
      ignoreOutgoing: false,
    })
  })
  test('a program, for cbpf alone', () => {
    const program = [[6, 0, 0, 0]]
    assert.deepEqual(plan({ workers: 2, fanout: { mode: 'cbpf', program } }).fanout, { mode: 'cbpf', defrag: false, rollover: false, program })
    refused({ workers: 2, fanout: 'cbpf' }, /program/)
    refused({ workers: 2, fanout: { mode: 'hash', program } }, /program/)
  })
  test('what does not go together or does not exist', () => {
    refused({ workers: 2, fanout: 'round-robin' }, /Expected the option fanout.* to be one of cpu, hash, lb, qm, rnd, rollover, cbpf, ebpf, got 'round-robin'/)
    refused({ workers: 2, fanout: { mode: 'rollover', rollover: true } }, /rollover/)
    refused({ workers: 2, fanout: { mode: 'hash', defrag: 'yes' } }, /defrag.*got 'yes'/)
    refused({ workers: 2, fanout: 5 }, /fanout/)
    refused({ workers: 2, fanout: null }, /fanout/)
    refused({ workers: 2, fanout: { mod: 'hash' } }, /Unknown option fanout\.mod/, /mode, defrag/)
    refused({ fanout: { ignoreOutgoing: 1 } }, /fanout\.ignoreOutgoing to be a boolean/)
  })
  test('a bad mode is told with one worker, too', () => refused({ fanout: 'round-robin' }, /fanout/))
})

describe('pin', () => {
  test('CPUs or queues', () => {
    assert.deepEqual(plan({ pin: [3, 1] }).pin, [3, 1])
    assert.equal(plan({ pin: 'queues' }).pin, 'queues')
  })
  test('nonsense', () => {
    refused({ pin: [] }, /pin/)
    refused({ pin: 'all' }, /pin/)
    refused({ pin: [1.5] }, /Expected the option pin to be an integer from 0 to 1023, got 1.5/)
    refused({ pin: [-1] }, /pin/)
    refused({ pin: [1024] }, /pin/)
    refused({ pin: 2 }, /pin/)
  })
  test('workers take the CPUs in turn', () => {
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((worker) => workerCpu([5, 7], worker)),
      [5, 7, 5, 7, 5],
    )
    assert.equal(workerCpu(undefined, 1), -1)
    assert.equal(workerCpu([], 1), -1)
  })
})

describe('ring', () => {
  test('in bytes and blocks', () => {
    assert.deepEqual(plan({ ringBytes: 8 * MIB, blockBytes: 65536, blockTimeoutMs: 1 }).ring, { blockBytes: 65536, blockCount: 128, blockTimeoutMs: 1 })
  })
  test('a block size alone leaves about the default ring', () => {
    assert.equal(plan({ blockBytes: 4 * MIB }).ring.blockCount, DEFAULT_RING_BYTES / (4 * MIB))
    assert.equal(plan({ blockBytes: 256 * MIB }).ring.blockCount, 2)
    assert.equal(plan({ blockBytes: 3 * 4096 }).ring.blockCount, Math.ceil(DEFAULT_RING_BYTES / 12288))
  })
  test('a ring size alone gets the largest block that leaves enough of them', () => {
    for (const [ringBytes, blockBytes] of [
      [64 * MIB, 2 * MIB],
      [4 * MIB, 256 * 1024],
      [2 * MIB, 128 * 1024],
      [5 * MIB, 256 * 1024],
      [192 * 1024, 65536],
      [8192, 4096],
    ] as const) {
      assert.equal(plan({ ringBytes }).ring.blockBytes, blockBytes)
    }
  })
  test('as time at a rate', () => {
    const { blockBytes, blockCount } = plan({ ringHold: { ms: 500, packetsPerSecond: 2e6 } }).ring
    // A million packets, 26 blocks that the timer closes, two in hand, and one to be finished.
    assert.deepEqual([blockBytes, blockCount], [2 * MIB, Math.ceil(1e6 / 14_563) + 26 + 3])
    const ordered = plan({ ringHold: { ms: 500, packetsPerSecond: 2e6 }, blockBytes: 8 * MIB, blockTimeoutMs: 100 }).ring
    assert.deepEqual([ordered.blockBytes, ordered.blockCount], [8 * MIB, Math.ceil(1e6 / 58_254) + 6 + 3])
  })
  test('nonsense', () => {
    for (const ringBytes of [0, -1, 1000, Number.NaN, Number.POSITIVE_INFINITY, '128M']) refused({ ringBytes }, /Expected (the option )?ringBytes to be/)
    for (const blockBytes of [0, -4096, 1000, Number.NaN, Number.POSITIVE_INFINITY]) refused({ blockBytes }, /Expected (the option )?blockBytes to be/)
    refused({ ringBytes: 4096 * MIB }, /less than 4 GiB/, /workers/)
    refused({ ringBytes: MIB, blockBytes: MIB }, /at least two blocks/)
    for (const blockTimeoutMs of [0, 65536, 1.5, '20']) refused({ blockTimeoutMs }, /blockTimeoutMs to be an integer from 1 to 65535/)
    refused({ ringBytes: 2 * MIB, ringHold: { ms: 1, packetsPerSecond: 1 } }, /ringBytes to be absent when ringHold is given/)
    for (const ringHold of [{}, { ms: 1 }, { ms: 0, packetsPerSecond: 1 }, { ms: 1, packetsPerSecond: Number.NaN }, null, 5]) refused({ ringHold }, /ringHold/)
    refused({ ringHold: { ms: 1e6, packetsPerSecond: 1e7 } }, /4 GiB/)
  })
  test('the page size is the machine’s', () => {
    refused({ blockBytes: 4096 }, /page size, 65536/, undefined, { pageSize: 65536 })
    assert.equal(plan({ blockBytes: 65536 }, { pageSize: 65536 }).ring.blockBytes, 65536)
  })
  test('more than there is memory is refused before the kernel tries', () => {
    assert.throws(() => plan({ ringBytes: 1024 * MIB, workers: 4 }, { availableMemoryBytes: 2 ** 30 }), {
      code: 'RING_REFUSED',
      message: /^4 × 1\.0 GiB of ring is more than the 1\.0 GiB of memory/,
    })
    assert.throws(() => plan({ ringBytes: 256 * MIB, workers: 2, interface: ['a', 'b', 'c'] }, { availableMemoryBytes: 2 ** 30 }), { code: 'RING_REFUSED' })
    assert.equal(plan({ backend: 'recv', workers: 4 }, { availableMemoryBytes: 2 ** 20 }).backend, 'recv')
  })
})

describe('recv', () => {
  test('buffer and batch', () => {
    const { receiveBufferBytes, batch } = plan({ backend: 'recv', receiveBufferBytes: 1, batch: 1024 })
    assert.deepEqual([receiveBufferBytes, batch], [1, 1024])
    for (const bad of [0, 1025, 1.5, '64']) refused({ batch: bad }, /batch to be an integer from 1 to 1024, got/)
    for (const bad of [0, 2 ** 30, -5]) refused({ receiveBufferBytes: bad }, /receiveBufferBytes to be an integer from 1 to 1073741823, got/)
  })
})

describe('the rest', () => {
  test('snap length; a ring’s is at most what a block holds', () => {
    assert.equal(plan({ snapLengthBytes: 96 }).snapLengthBytes, 96)
    assert.equal(plan({ blockBytes: 65536 }).snapLengthBytes, longestPacket(65536))
    assert.equal(plan({ blockBytes: 65536, backend: 'recv' }).snapLengthBytes, MAX_SNAP_LENGTH_BYTES)
    for (const bad of [0, 262_145, -1, '96']) refused({ snapLengthBytes: bad }, /snapLengthBytes to be an integer from 1 to 262144, got/)
  })
  test('promiscuous', () => {
    assert.equal(plan({ promiscuous: false }).promiscuous, false)
    refused({ promiscuous: 1 }, /promiscuous to be a boolean, got 1 \(number\)/)
  })
  test('direction', () => {
    for (const direction of ['in', 'out', 'inout']) assert.equal(plan({ direction }).direction, direction)
    refused({ direction: 'both' }, /direction to be one of in, out, inout, got 'both'/)
  })
  test('count and duration', () => {
    assert.equal(plan({ count: 2 ** 40 }).count, 2 ** 40)
    for (const count of [0, -1, 1.5, 2 ** 53, Number.POSITIVE_INFINITY]) refused({ count }, /count to be an integer from 1 to/)
    assert.equal(plan({ durationMs: 2 ** 31 - 1 }).durationMs, 2 ** 31 - 1)
    for (const durationMs of [0, -1, 2 ** 31, 0.5]) refused({ durationMs }, /durationMs to be an integer from 1 to/)
  })
  test('netns', () => {
    assert.equal(plan({ netns: '/proc/1/ns/net' }).netns, '/proc/1/ns/net')
    for (const netns of ['', 5]) refused({ netns }, /netns to be a string that is not empty/)
  })
})
