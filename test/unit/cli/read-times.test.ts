/** `ringtap read` of packets whose times no calendar has: before 1970, beyond what Date knows, and none at all. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { requireTools } from '../../support/capture-tools.js'
import { enhancedPacket, interfaceBlock, sectionHeader, Writer } from '../../support/capture-writer.js'
import { everydayFrame } from '../../support/everyday-frames.js'
import { randomOf } from '../../support/random.js'

const MAIN = fileURLToPath(new URL('../../../../dist/cli/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'ringtap-times-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const frame = everydayFrame(randomOf(5))

/** Packets of one interface that counts microseconds from `offset`. */
function fileOf(name: string, offset: bigint, ticks: readonly bigint[]): string {
  const options = new Writer(true)
    .option(14, new Writer(true).u64(BigInt.asUintN(64, offset)).end())
    .u32(0)
    .end()
  const path = join(folder, name)
  writeFileSync(path, Buffer.concat([sectionHeader(true), interfaceBlock(true, 1, 0, options), ...ticks.map((each) => enhancedPacket(true, 0, each, frame))]))
  return path
}

function read(...argv: string[]): string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'read', ...argv], { encoding: 'latin1', env: { ...process.env, TZ: 'UTC' } })
  assert.equal(status, 0, stderr + stdout.slice(-200))
  return stdout.split('\n').slice(0, -1)
}

const times = (path: string, ...argv: string[]) => read(path, ...argv).map((line) => line.slice(0, line.search(/ IP|ARP/)))

const FAR = 2n ** 64n - 1n
const USUAL = 1_700_000_000n * 1_000_000n

test('a packet beyond what Date knows is one of many: those before it and behind it are printed', () => {
  const ticks = Array.from({ length: 600 }, (_, i) => (i === 300 ? FAR : USUAL + BigInt(i) * 1_000_000n))
  const path = fileOf('one-far.pcapng', 0n, ticks)
  const documents = read(path, '--json').map((line) => JSON.parse(line) as { type: string; number: number; time: string })
  assert.deepEqual(
    documents.map(({ type, number }) => [type, number]),
    ticks.map((_, i) => ['packet', i + 1]),
  )
  assert.deepEqual(
    documents.slice(299, 302).map(({ time }) => time),
    ['2023-11-14T22:18:19.000000000Z', '18446744073709.551615000', '2023-11-14T22:18:21.000000000Z'],
  )
  const info = JSON.parse(read(path, '--info', '--json')[0] as string) as { lastTime: string }
  assert.equal(info.lastTime, documents[300]?.time)
  assert.equal(read(path).length, 600)
})

test('as tcpdump has it: a local time that there is none of', (t) => {
  if (!requireTools(t, 'tcpdump')) return
  const path = fileOf('far.pcapng', 0n, [USUAL, FAR, USUAL])
  for (const option of [[], ['-tttt']]) {
    const { stdout } = spawnSync('tcpdump', ['-n', '-S', ...option, '-r', path], { encoding: 'latin1', env: { ...process.env, TZ: 'UTC' } })
    assert.deepEqual(read(path, ...option), stdout.split('\n').slice(0, -1))
    assert.match(stdout, /^\[Error converting time\] /m)
  }
  assert.deepEqual(times(path, '-tt'), ['1700000000.000000', '18446744073709.551615', '1700000000.000000'])
})

test('before 1970: seconds with their sign, and second -1 like any other', () => {
  const path = fileOf('before.pcapng', -1000n, [500_250_000n, 999_000_000n, 999_750_000n, 1_001_000_000n])
  assert.deepEqual(times(path, '-tt'), ['-499.750000', '-1.000000', '-0.250000', '1.000000'])
  assert.deepEqual(times(path, '-tttt'), [
    '1969-12-31 23:51:40.250000',
    '1969-12-31 23:59:59.000000',
    '1969-12-31 23:59:59.750000',
    '1970-01-01 00:00:01.000000',
  ])
  const first = fileOf('first.pcapng', -1n, [0n, 1000n])
  assert.deepEqual(times(first), ['23:59:59.000000', '23:59:59.001000'])
  assert.deepEqual(
    read(first, '--json').map((line) => (JSON.parse(line) as { time: string }).time),
    ['1969-12-31T23:59:59.000000000Z', '1969-12-31T23:59:59.001000000Z'],
  )
})

test('an offset beyond every exact number: no digits that are made up, in any way of printing', () => {
  for (const offset of [2n ** 62n, -(2n ** 63n)]) {
    const path = fileOf('offset.pcapng', offset, [5_000_000n])
    for (const option of ['-tt', '-ttt', '-tttt', '-ttttt', '-e']) assert.deepEqual(times(path, option).join().trim().slice(0, 23), '[Error converting time]')
    assert.equal((JSON.parse(read(path, '--json')[0] as string) as { time: string }).time, `${Number(offset)}.000000000`)
  }
})
