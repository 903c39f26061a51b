import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseArguments } from '#src/cli/parse.js'
import { RATE_BOUNDS } from '#src/cli/size.js'
import { sizeDocument, sizeLines } from '#src/cli/size-lines.js'
import { findCommand } from '#src/cli/table.js'
import { sizeCapture } from '#src/host/index.js'
import { SIZE_BOUNDS } from '#src/host/size/bounds.js'

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

test('a stall that was not simulated is not said to lose nothing', () => {
  const size = sizeCapture({ cores: 16, memoryBytes: 64 * GIB, packetsPerSecond: 1e6, backend: 'ring' })
  const lines = sizeLines({ ...size, simulatedStall: null })
  assert.ok(lines.includes('simulated    loses nothing; with a stall as ordered, too many packets to simulate'), lines.join('\n'))
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

test('the bounds of the command line are those of the library', () => {
  const bounds: Readonly<Record<string, readonly [number, number]>> = SIZE_BOUNDS
  const rows = (findCommand('size')?.options ?? []).filter(({ min }) => min !== undefined)
  assert.deepEqual(rows.map(({ name }) => name).sort(), ['burst', 'cores', 'cost', 'frame', 'hold', 'line', 'load', 'memory'])
  for (const { api = '', min, max } of rows) assert.deepEqual([min, max], bounds[api], api)
  for (const [name, range] of Object.entries(RATE_BOUNDS)) assert.deepEqual(range, bounds[name], name)
})

describe('the command', () => {
  const main = fileURLToPath(import.meta.resolve('#src/cli/main.js'))
  const run = (...options: string[]) => spawnSync(process.execPath, [main, 'size', ...options], { encoding: 'utf8' })

  test('exit status 0 where it fits, 1 where it does not, 2 for what is no question', () => {
    assert.equal(run('--rate', '100kpps', '--memory', '1G', '--json').status, 0)
    assert.equal(run('--rate', '10G', '--cores', '1', '--memory', '1G').status, 1)
    const { status, stderr } = run()
    assert.deepEqual([status, stderr], [2, 'ringtap: --rate: how much is to be captured?\n  for example --rate 10G --frame 64, or --rate 2Mpps\n'])
    const short = run('--rate', '10G', '--frame', '64', '--line', '1G')
    assert.equal(short.status, 2)
  })

  test('what is out of range is named as it was typed, and the range in its unit', () => {
    const told = (...options: string[]) => {
      const { status, stderr } = run(...options)
      assert.equal(status, 2, stderr)
      return stderr
    }
    const others = ['--rate', '1Mpps', '--memory', '1G']
    for (const [option, value, expected] of [
      ['--hold', '1000000s', 'at most 10s'],
      ['--burst', '0', 'at least 1us'],
      ['--burst', '2s', 'at most 1s'],
      ['--cores', '0', 'at least 1'],
      ['--cores', '300', 'at most 256'],
      ['--load', '2', 'at most 100%'],
      ['--load', '0.1%', 'at least 1%'],
      ['--frame', '10000', 'at most 9216'],
      ['--line', '10k', 'at least 1M'],
      ['--line', '20000G', 'at most 10000G'],
      ['--cost', '2000000000', 'at most 1000000000ns'],
    ] as const) {
      assert.equal(told(...others, option, value), `ringtap: ${option}: expected ${expected}, got '${value}'\n`)
    }
    assert.equal(told(...others, '--memory', '0'), "ringtap: --memory: expected at least 1, got '0'\n")
    assert.equal(told('--rate', '0'), 'ringtap: --rate: expected 1 pps to 10.0 Gpps, got 0 pps\n')
    assert.equal(told('--rate', '1kbit'), 'ringtap: --rate: expected 1.00 Mbit/s to 10.0 Tbit/s, got 1.00 kbit/s\n')
    assert.match(
      told('--rate', '2Mpps', '--line', '1G'),
      /^ringtap: Expected --rate to be at most 1488095 packets a second, what the line carries of frames of 64 bytes/,
    )
    // What the range says is taken.
    for (const value of ['0', '0ms', '10s']) assert.notEqual(run('--rate', '100kpps', '--memory', '64G', '--cores', '8', '--hold', value).status, 2, value)
  })

  test('costs come from a file of ringtap bench --json', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-size-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'bench.json')
    const rung = (name: string, received: number) => ({ name, received, userNsPerPacket: 10, systemNsPerPacket: 0, cores: [{ idle: 0, steal: 0 }] })
    writeFileSync(file, JSON.stringify({ type: 'bench', rungs: [rung('ring+fanout', 2e6), rung('xdp', 5e6), rung('kernel count', 10e6)] }))
    const { costs } = JSON.parse(run('--rate', '1Mpps', '--measured', file, '--backend', 'ring', '--json').stdout) as {
      costs: { kernelNs: number; workerNs: number }
    }
    assert.deepEqual([Math.round(costs.kernelNs), costs.workerNs], [450, 10])
    writeFileSync(file, '{')
    const broken = run('--rate', '1Mpps', '--measured', file)
    assert.equal(broken.status, 2)
    assert.match(broken.stderr, /^ringtap: --measured: /)
    assert.equal(run('--rate', '1Mpps', '--measured', join(folder, 'none')).status, 2)
  })
})
